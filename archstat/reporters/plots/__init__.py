"""Pictures, drawn by matplotlib (extra ``plots``) from plain numbers; one file a picture."""

from archstat.reporters.plots.bars import plot_bars as plot_bars
from archstat.reporters.plots.effective_field import HeatMap as HeatMap
from archstat.reporters.plots.effective_field import plot_effective_field as plot_effective_field
from archstat.reporters.plots.experiment import SpeedBar as SpeedBar
from archstat.reporters.plots.experiment import SpeedGroup as SpeedGroup
from archstat.reporters.plots.experiment import SpeedPicture as SpeedPicture
from archstat.reporters.plots.experiment import plot_experiment as plot_experiment
from archstat.reporters.plots.field_by_depth import FieldSeries as FieldSeries
from archstat.reporters.plots.field_by_depth import plot_field_by_depth as plot_field_by_depth
from archstat.reporters.plots.field_on_input import FieldRectangle as FieldRectangle
from archstat.reporters.plots.field_on_input import plot_field_on_input as plot_field_on_input
from archstat.reporters.plots.figures import check_plot_path as check_plot_path
from archstat.reporters.plots.figures import sized as sized
from archstat.reporters.plots.from_page import plot_from_page as plot_from_page
from archstat.reporters.plots.memory_timeline import MemoryTimeline as MemoryTimeline
from archstat.reporters.plots.memory_timeline import plot_memory_timeline as plot_memory_timeline
from archstat.reporters.plots.pareto import Named as Named
from archstat.reporters.plots.pareto import plot_pareto as plot_pareto
from archstat.reporters.plots.roofline import RoofLines as RoofLines
from archstat.reporters.plots.roofline import RoofPoint as RoofPoint
from archstat.reporters.plots.roofline import RoofSeries as RoofSeries
from archstat.reporters.plots.roofline import plot_roofline as plot_roofline
from archstat.reporters.plots.scatter import Scatter as Scatter
from archstat.reporters.plots.scatter import plot_scatter as plot_scatter
