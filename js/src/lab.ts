/**
 * The JupyterLab extension: draws the output type that a cell keeps of its tasks.
 *
 * It is a module-federation container written by hand, so that neither webpack nor JupyterLab is needed to build it.
 * Unlike the widget it needs no kernel: it is live after a reload, a kernel restart, and in an untrusted notebook.
 */

import { LiveTasks, strings } from "./live-tasks.js";
import { isRecord } from "./payload.js";

const NAME = "headway";
const MIME_TYPE = "application/vnd.headway.tasks+json";
/** Before the widget manager's −10; of several types in one output the lowest rank draws. */
const RANK = -20;

/** The bundled style sheet, put in by the build. */
declare const HEADWAY_STYLES: string;

/** The parts of Lumino's widget that a renderer needs. */
interface LuminoWidget {
  readonly node: HTMLElement;
  addClass(name: string): void;
  dispose(): void;
}

interface OutputModel {
  readonly data: Readonly<Record<string, unknown>>;
}

/** What JupyterLab shares, by name and version. */
type ShareScope = Record<string, Record<string, { get(): Promise<() => unknown> | (() => unknown) }>>;

let scope: ShareScope = {};

async function shared(name: string): Promise<unknown> {
  const [newest] = Object.values(scope[name] ?? {});
  if (newest === undefined) throw new Error(`headway: this JupyterLab does not share ${name}`);
  return (await newest.get())();
}

function addStyles(): void {
  const id = "headway-styles";
  if (document.getElementById(id) !== null) return;
  const style = document.createElement("style");
  style.id = id;
  style.textContent = HEADWAY_STYLES;
  document.head.append(style);
}

async function mimeExtension(): Promise<object> {
  const { Widget } = (await shared("@lumino/widgets")) as { Widget: new () => LuminoWidget };

  class TasksRenderer extends Widget {
    private readonly tasks = new LiveTasks(this.node);
    private ids = "";

    constructor() {
      super();
      this.addClass("hw-output");
      addStyles();
    }

    /** Called for each version of the output; the same tasks keep their view. */
    async renderModel(model: OutputModel): Promise<void> {
      const data = model.data[MIME_TYPE];
      if (!isRecord(data)) return;
      const ids = strings(data.task_ids);
      if (ids.join(" ") !== this.ids) {
        this.ids = ids.join(" ");
        this.tasks.show(ids);
      }
      this.tasks.store.fromKernel(data.states);
    }

    override dispose(): void {
      this.tasks.dispose();
      super.dispose();
    }
  }

  return {
    id: `${NAME}:tasks`,
    description: "Draws the tasks of a cell, live.",
    rendererFactory: {
      safe: true,
      mimeTypes: [MIME_TYPE],
      createRenderer: () => new TasksRenderer(),
    },
    rank: RANK,
    dataType: "json",
  };
}

const container = {
  init(given: ShareScope): void {
    scope = given;
  },
  async get(module: string): Promise<() => object> {
    if (module !== "./mimeExtension") throw new Error(`headway: there is no module ${module}`);
    const plugin = await mimeExtension();
    return () => ({ __esModule: true, default: plugin });
  },
};

const page = globalThis as { _JUPYTERLAB?: Record<string, unknown> };
page._JUPYTERLAB ??= {};
page._JUPYTERLAB[NAME] = container;
