"""Budgets: the rules that a model must keep, held against what it is and against a lock file."""

from archstat.budgets.lock import Entry as Entry
from archstat.budgets.lock import Layer as Layer
from archstat.budgets.lock import LockFile as LockFile
from archstat.budgets.lock import entry_of as entry_of
from archstat.budgets.lock import parse_lock as parse_lock
from archstat.budgets.lock import read_lock as read_lock
from archstat.budgets.reading import find_config as find_config
from archstat.budgets.reading import load as load
from archstat.budgets.rules import Budget as Budget
from archstat.budgets.rules import Config as Config
from archstat.budgets.rules import Rule as Rule
from archstat.budgets.rules import parse_rule as parse_rule
from archstat.budgets.verdicts import Verdict as Verdict
from archstat.budgets.verdicts import judge as judge
