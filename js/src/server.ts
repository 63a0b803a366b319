/** Where the page's Jupyter server is and how to prove to it who asks. */

import { isTaskId } from "./model.js";
import { isRecord } from "./payload.js";

export class JupyterServer {
  constructor(
    /** Absolute, ends with a slash. */
    readonly baseUrl: string,
    readonly wsUrl: string,
    private readonly token: string,
  ) {}

  /** The server that the page names, or null where there is none (VS Code, Colab, marimo). */
  static ofPage(page: Document = document): JupyterServer | null {
    const config = configData(page) ?? bodyData(page);
    const base = config?.baseUrl;
    if (!base) return null;
    const baseUrl = new URL(withSlash(base), page.baseURI).href;
    if (!baseUrl.startsWith("http")) return null;
    const wsUrl = config.wsUrl
      ? new URL(withSlash(config.wsUrl), page.baseURI).href.replace(/^http/, "ws")
      : baseUrl.replace(/^http/, "ws");
    return new JupyterServer(baseUrl, wsUrl, config.token);
  }

  /** A browser cannot set headers on a WebSocket, so a token travels in the query, as Jupyter's own clients do it. */
  socketUrl(): string {
    const query = this.token === "" ? "" : `?token=${encodeURIComponent(this.token)}`;
    return `${this.wsUrl}headway/ws/progress${query}`;
  }

  progressUrl(taskId: string): string {
    return this.taskUrl(taskId, "progress");
  }

  logsUrl(taskId: string, since: number): string {
    return this.taskUrl(taskId, `logs?since=${since}`);
  }

  /** The samples after a time, or all of them. */
  resourcesUrl(taskId: string, since: string | null): string {
    const query = since === null ? "" : `?since=${encodeURIComponent(since)}`;
    return this.taskUrl(taskId, `resources${query}`);
  }

  /** What is known of the previews. */
  previewsUrl(taskId: string): string {
    return this.taskUrl(taskId, "previews");
  }

  previewUrl(taskId: string, number: number): string {
    return this.taskUrl(taskId, `previews/${number}`);
  }

  fetch(url: string, signal: AbortSignal): Promise<Response> {
    return fetch(url, {
      headers: this.token === "" ? {} : this.authorization(),
      signal,
      credentials: "same-origin",
    });
  }

  /** Asks that the task be stopped; 202 says that the wish is stored. */
  cancel(taskId: string, signal: AbortSignal): Promise<Response> {
    const headers = this.token === "" ? xsrf() : this.authorization();
    return fetch(this.taskUrl(taskId, "cancel"), {
      method: "POST",
      headers,
      signal,
      credentials: "same-origin",
    });
  }

  private taskUrl(taskId: string, what: string): string {
    return `${this.baseUrl}headway/tasks/${pathPart(taskId)}/${what}`;
  }

  private authorization(): Record<string, string> {
    return { Authorization: `token ${this.token}` };
  }
}

/** A cookie alone proves nothing: another site's page sends it too. What only this one's scripts can read does. */
function xsrf(page: Document = document): Record<string, string> {
  const value = /(?:^|;\s*)_xsrf="?([^;"]*)/.exec(page.cookie)?.[1];
  return value ? { "X-XSRFToken": value } : {};
}

interface PageConfig {
  readonly baseUrl: string;
  readonly wsUrl: string;
  readonly token: string;
}

/** JupyterLab and Notebook 7. */
function configData(page: Document): PageConfig | null {
  const content = page.getElementById("jupyter-config-data")?.textContent;
  if (!content) return null;
  try {
    const parsed: unknown = JSON.parse(content);
    if (!isRecord(parsed)) return null;
    return { baseUrl: string(parsed.baseUrl), wsUrl: string(parsed.wsUrl), token: string(parsed.token) };
  } catch {
    return null;
  }
}

/** nbclassic. */
function bodyData(page: Document): PageConfig | null {
  const data = page.body?.dataset;
  if (!data?.baseUrl) return null;
  return { baseUrl: data.baseUrl, wsUrl: data.wsUrl ?? "", token: data.jupyterApiToken ?? "" };
}

function pathPart(taskId: string): string {
  if (!isTaskId(taskId)) throw new TypeError(`expected a task id, got ${JSON.stringify(taskId)}`);
  return encodeURIComponent(taskId);
}

function string(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function withSlash(url: string): string {
  return url.endsWith("/") ? url : `${url}/`;
}
