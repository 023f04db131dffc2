// The parts of Apache ECharts that pages use, as one classic script: `echarts` in the page is what this exports.
// `web/vendor/README.md` says how it is built.
export { init, use, getInstanceByDom } from "echarts/core";
import { use } from "echarts/core";
import { LineChart, BarChart, ScatterChart, BoxplotChart, CustomChart, HeatmapChart } from "echarts/charts";
import {
  AriaComponent, DatasetComponent, GridComponent, LegendComponent, MarkLineComponent, TooltipComponent,
  VisualMapContinuousComponent,
} from "echarts/components";
import { LabelLayout } from "echarts/features";
import { SVGRenderer } from "echarts/renderers";

use([
  LineChart, BarChart, ScatterChart, BoxplotChart, CustomChart, HeatmapChart,
  AriaComponent, DatasetComponent, GridComponent, LegendComponent, MarkLineComponent, TooltipComponent,
  VisualMapContinuousComponent,
  LabelLayout, SVGRenderer,
]);
