"""What analyses give and reporters get: columns, analyses, findings, reports and tables."""

from archstat.result.columns import COLUMNS_OF_TOPIC as COLUMNS_OF_TOPIC
from archstat.result.columns import FUNCTIONAL as FUNCTIONAL
from archstat.result.columns import RATIO_SUFFIX as RATIO_SUFFIX
from archstat.result.columns import Analysis as Analysis
from archstat.result.columns import Analyzer as Analyzer
from archstat.result.columns import Cell as Cell
from archstat.result.columns import Column as Column
from archstat.result.columns import Mark as Mark
from archstat.result.columns import Note as Note
from archstat.result.columns import Number as Number
from archstat.result.columns import PerAxis as PerAxis
from archstat.result.columns import Picture as Picture
from archstat.result.columns import Tone as Tone
from archstat.result.columns import Topic as Topic
from archstat.result.columns import Unit as Unit
from archstat.result.columns import notes_of as notes_of
from archstat.result.report import IDENTITY as IDENTITY
from archstat.result.report import Report as Report
from archstat.result.table import Table as Table
from archstat.result.table import Tabular as Tabular
