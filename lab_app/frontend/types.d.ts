// What the modules are given: by Gradio, by the server, and by Plotly. Nothing here reaches the browser.

/** An element of the page. Its markup is constant (`templates.py`), so what it is asked for is there. */
interface Part extends HTMLElement {
  querySelector(selector: string): any;
  querySelectorAll(selector: string): any;
}

/** What Gradio gives the script of a component. */
interface Context {
  element: Part;
  /** The component's properties, as the server sent them last. */
  props: Record<string, any>;
  /** Call `then` after a property was changed by the server. */
  watch(names: string | string[], then: () => void): void;
  /** Send an event to the server. */
  trigger(event: string, data?: object): void;
}

/** A row of a feed: one lane after one round; `start`: what a run begins with. Other columns are those of a panel. */
interface Row {
  lane: string;
  round: number;
  edits?: number;
  start?: boolean;
  [column: string]: any;
}

/** The rows of a feed by lane. */
interface Model {
  start: Row | null;
  lanes: Map<string, Row[]>;
}

/** What is looked at. */
interface View {
  run: string;
  /** null: the latest one. */
  round: number | null;
  layer: number | null;
  /** Lanes that are not shown. */
  hidden: Set<string>;
  /** What the run does: "running", "done", … */
  status?: string;
  /** A fact whose card was opened. */
  fact?: number | null;
}

/** What changed of it; other names are news for whoever listens, such as `rounds`: more of them were measured. */
type Change = Partial<View> & { rounds?: boolean; said?: boolean; saved?: boolean; missed?: boolean };

/** What is known of the run that is shown. */
interface Run {
  lanes: string[];
  layers: Record<string, number[]>;
  rounds: number;
  facts: number;
  model: Record<string, any>;
  /** The rounds that were measured, in order. */
  measured: number[];
  /** Edits so far, by round. */
  edits: Record<number, number>;
  /** The layers that a lane has edited so far. */
  moved: Record<string, number[]>;
  /** Slots of colours that were chosen in this browser. */
  colours?: number[] | null;
  /** Energy curves of the unedited matrices. */
  curves?: any[];
  /** The start that told of them. */
  told?: any;
  /** What the lanes say in their own words. */
  said?: Model;
}

/** What the form of the next run holds besides the spec. */
interface Form {
  /** Slots of the cards' colours. */
  colours?: number[];
  /** Prompts that the next run is asked at every round; given some, they are kept. */
  probes?(next?: string[]): string[];
  /** Ask the server what the lanes come to. */
  settle?(): void;
  /** Where facts are sampled from; "" for the pocket world. */
  source?(): string;
}

/** Attributes and listeners of an element that is made. */
type Attributes = { [listener: `on${string}`]: ((event: any) => unknown) | null | undefined } & { [name: string]: any };

/** The table of a study or a panel. */
interface Rows {
  columns: string[];
  rows: any[][];
}

/** Where a plot is drawn: its width in pixels, and whether it is enlarged. */
interface Box {
  width: number;
  wide: boolean;
}

/** plotly.js, from the Python package. */
declare const Plotly: any;
interface Window {
  Plotly?: any;
}

/** A fact as it is typed. */
interface FactRow {
  subject?: string;
  prompt?: string;
  target?: string;
  truth?: string;
  [column: string]: any;
}

/** A lane as its card holds it. */
interface Lane {
  method: string;
  guard?: string;
  tau?: number | null;
  name?: string;
  colour?: number;
  options?: Record<string, any>;
  [part: string]: any;
}

/** A column of a table (`core/charts/table.py`). */
interface Column {
  name: string;
  title: string;
  /** A key of `UNITS` in charts/units.js. */
  unit: string;
  note?: string;
}

/** What is chosen above a plot (`core/charts/grammar.py`). */
interface Choice {
  name: string;
  label: string;
  options?: [any, string][];
  column?: string;
  prefix?: string;
  shared?: boolean;
  needs?: Record<string, string>;
}

/** Charts side by side with their choices, as `core/charts/grammar.py` declares them; its charts are as they come. */
interface Plot {
  charts: any[];
  choices?: Choice[];
  figures?: any[];
  side_by_side?: boolean;
}

/** The tables that a plot draws. */
interface Tables {
  rows: Record<string, any[]>;
  columns: Record<string, Column[]>;
  lanes: any[];
  /** What the run began with. */
  start?: any;
}

/** What is looked at in a plot. */
interface Looked {
  lanes: any[];
  round: number | null;
  picks: Record<string, any>;
  facet?: any;
}

/** Points that are joined or coloured alike. */
interface Series {
  rows: any[];
  /** The column that is drawn. */
  y: string;
  lane?: any;
  by?: any;
  also?: boolean;
  reference?: any;
  family?: string;
}

/** One small chart. */
interface Cell {
  chart: any;
  series: Series[];
  lines: any[];
  facet: any;
  lanes: any[];
}

/** A number at the head of a plot: of each lane the stored value, how it is said, and of how many it is a share. */
interface BigNumber {
  title: string;
  unit: string;
  values: [any, any, string, any][];
  wears?: string;
}

/** How lanes look. */
interface Worn {
  slot(lane: any): number;
  colour(lane: any): string;
  dash(lane: any): string;
  marker(lane: any): string;
  text(lane: any): string;
  name(lane: any): string;
  hatched?(lane: any): boolean;
}

/** How plots look in a place of the page. */
interface Looks {
  mark(count: number): number;
  line(chart: any): number;
  whisker: number;
  history?: boolean;
  fixed?: boolean;
  words?: boolean;
  near?: boolean;
  font?: number;
  margins?: { left: number; right: number; top: number; bottom: number; inner: number };
}

/** Where small charts lie on their canvas. */
interface Frame {
  columns: number;
  height: number;
  margin: Record<string, number>;
  domains: { x: [number, number]; y: [number, number] }[];
  /** Breaks the name of a category. */
  lines(name: any): string;
  tilted: boolean;
  numeric: boolean;
  together: number;
}

/** A plot as Plotly takes it. */
interface Picture {
  traces: any[];
  layout: Record<string, any>;
  cells: Cell[];
  columns: number;
  revision?: string;
}

/** A plot with all of its data; `beside`: rows of another result that is to be read against it. */
interface Given {
  plot: Plot;
  data: Tables;
  beside: any[] | null;
  looks: Looks;
}
