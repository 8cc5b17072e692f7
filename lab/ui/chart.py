"""A Plotly chart that is drawn once and then only updated: zoom stays, nothing flickers, the DOM is not rebuilt.

The value is a figure as a dict; `Plotly.react` draws the difference. A chart in a tab that is not open waits until it is;
plotly.min.js is served by the lab itself, and loaded when the first chart is to be drawn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import plotly

PLOTLY_JS = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"

DRAW = """
const box = () => element.querySelector('.lab-chart-box');
const plotly = () => window.labPlotly ??= new Promise((done) => {
  const script = document.createElement('script');
  script.src = '/lab/plotly.min.js';
  script.onload = done;
  script.onerror = () => { window.labPlotly = undefined; };  // the next figure tries again
  document.head.append(script);
});
let shown = false;
const draw = async () => {
  if (!shown || !props.value?.layout) return;
  await plotly();
  const figure = props.value;
  if (!figure?.layout || !box()) return;
  const ink = getComputedStyle(document.body).getPropertyValue('--body-text-color').trim();
  const layout = {...figure.layout, font: {...figure.layout.font, color: ink}};
  if (box().clientWidth < 420) layout.margin = {...layout.margin, l: 48, t: layout.title ? 64 : 40};
  const name = (figure.layout.title ? figure.layout.title.text : 'chart').toLowerCase().replace(/[^a-z0-9]+/g, '-');
  const options = {responsive: true, displaylogo: false, toImageButtonOptions: {filename: name, scale: 2},
    modeBarButtonsToRemove: ['lasso2d', 'select2d', 'sendDataToCloud']};
  Plotly.react(box(), figure.data, layout, options);
  box().setAttribute('aria-label', figure.layout.title ? figure.layout.title.text : 'chart');
};
watch('value', draw);
new MutationObserver(draw).observe(document.body, {attributes: true, attributeFilter: ['class']});
new IntersectionObserver(async (seen) => {
  shown = seen.at(-1).isIntersecting;
  await draw();
  if (shown && box()?.data) Plotly.Plots.resize(box());  // the window may have changed meanwhile
}, {rootMargin: '100000px'}).observe(element);
"""


def live_chart(figure: dict[str, Any], elem_id: str) -> gr.HTML:
    """A chart that an event updates by returning another figure."""
    return gr.HTML(
        value=figure, html_template='<div class="lab-chart-box" role="img"></div>', js_on_load=DRAW, elem_id=elem_id,
        elem_classes=["lab-chart"], apply_default_css=False, min_height=262,
    )  # fmt: skip


def chart_rows(prefix: str, *rows: tuple[str, ...]) -> list[gr.HTML]:
    """Empty charts in rows, named by what they show."""
    charts = []
    for row in rows:
        with gr.Row():
            for name in row:
                with gr.Column(min_width=300):
                    charts.append(live_chart({}, f"{prefix}-{name}"))
    return charts


def axis_and_smoothing(tab: str) -> tuple[gr.Radio, gr.Slider]:
    """How a tab's curves are drawn: along what, and how smooth."""
    axis = gr.Radio(["step", "time", "tokens"], value="step", label="x axis", elem_id=f"{tab}-axis")
    return axis, gr.Slider(0, 0.98, value=0.6, step=0.02, label="smoothing", elem_id=f"{tab}-smoothing")
