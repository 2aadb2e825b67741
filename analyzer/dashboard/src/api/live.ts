// The live socket: snapshot, then deltas. Reconnects by itself, ever more slowly, and knows how old what it
// shows is.
import type { World } from "../state";
import { after, nothing } from "../state";
import { liveStatus } from "./calls";
import { completeFrame } from "./complete";
import type { Frame } from "./types";

/** Frames come every five seconds at least; a socket that is silent for so long is dead. */
export const SILENCE = 8000;
const FIRST_WAIT = 500;
const LONGEST_WAIT = 10_000;
/** A close with this code: the session has ended. */
const SESSION_ENDED = 1008;

export type Link =
  | { state: "connecting" }
  | { state: "live" }
  /** Since when (this machine's clock) nothing is new, and what is known of why. */
  | { state: "lost"; since: number; why: string }
  | { state: "signedOut" };

export interface View {
  world: World;
  link: Link;
  /** This machine's clock when the last frame came. */
  heard: number;
  /** The analyzer's clock less this machine's, in milliseconds. */
  skew: number;
}

/** Waits between tries: 0.5 s, 1 s, 2 s ... 10 s, each up to a quarter shorter so that pages do not all come at once. */
export function waitBefore(attempt: number, chance: number): number {
  return Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** Math.min(attempt, 10)) * (1 - chance / 4);
}

export class Live {
  view: View = { world: nothing(), link: { state: "connecting" }, heard: 0, skew: 0 };
  private socket: WebSocket | null = null;
  private attempt = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private watch: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly address: string,
    private readonly changed: (view: View) => void,
  ) {}

  start(): void {
    this.watch = setInterval(() => this.listenForSilence(), 1000);
    window.addEventListener("online", this.hurry);
    this.connect();
  }

  stop(): void {
    clearInterval(this.watch);
    clearTimeout(this.timer);
    window.removeEventListener("online", this.hurry);
    this.drop();
  }

  private readonly hurry = (): void => {
    if (this.socket === null && this.view.link.state !== "signedOut") this.connect();
  };

  private connect(): void {
    clearTimeout(this.timer);
    this.drop();
    const socket = new WebSocket(this.address);
    this.socket = socket;
    const mine = (): boolean => this.socket === socket;
    socket.onmessage = (message) => {
      if (mine()) this.take(completeFrame(JSON.parse(String(message.data)) as Frame));
    };
    socket.onclose = (event) => {
      if (!mine()) return;
      this.socket = null;
      if (event.code === SESSION_ENDED) this.show({ link: { state: "signedOut" } });
      else void this.lost(event.code === 1001 ? "The analyzer is stopping." : null);
    };
  }

  private take(frame: Frame): void {
    const world = after(this.view.world, frame);
    if (world === null) {
      // Something was missed: only a new snapshot is right again.
      this.connect();
      return;
    }
    this.attempt = 0;
    const heard = Date.now();
    this.show({ world, link: { state: "live" }, heard, skew: frame.time - heard });
  }

  /** Asks why, says so, and tries again later. */
  private async lost(why: string | null): Promise<void> {
    const attempt = this.attempt++;
    this.sayLost(why ?? "The connection to the analyzer is lost.");
    this.timer = setTimeout(() => this.connect(), waitBefore(attempt, Math.random()));
    const { status, detail } = await liveStatus();
    if (this.socket !== null && this.view.link.state === "live") return;
    if (status === 401) {
      clearTimeout(this.timer);
      this.drop();
      this.show({ link: { state: "signedOut" } });
    } else if (status === 403 || status === 503) this.sayLost(detail);
    else if (status === 0) this.sayLost("The analyzer does not answer.");
  }

  private sayLost(why: string): void {
    const { link, heard } = this.view;
    const since = link.state === "lost" ? link.since : heard > 0 ? heard : Date.now();
    this.show({ link: { state: "lost", since, why } });
  }

  private listenForSilence(): void {
    const { link, heard } = this.view;
    if (link.state === "live" && Date.now() - heard > SILENCE) {
      this.drop();
      void this.lost("Nothing has come from the analyzer for 8 s.");
    }
  }

  private drop(): void {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  private show(change: Partial<View>): void {
    this.view = { ...this.view, ...change };
    this.changed(this.view);
  }
}

/** Where the live socket of this page is. */
export const liveAddress = (place: Location): string =>
  `${place.protocol === "https:" ? "wss" : "ws"}://${place.host}/v1/live`;
