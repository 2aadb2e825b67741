// The charts' colours, as style.css has them: blue and orange, which all kinds of colour vision tell apart.

export interface Palette {
  stable: string;
  canary: string;
  first: string;
  second: string;
  text: string;
  faint: string;
  rule: string;
  card: string;
  bad: string;
  goodSoft: string;
  arms: readonly string[];
}

export type Theme = "light" | "dark";

const LIGHT: Palette = {
  stable: "#1f6fb4",
  canary: "#d96c06",
  first: "#7a3e9d",
  second: "#2f7f79",
  text: "#1b2733",
  faint: "#5b6875",
  rule: "#dde3e9",
  card: "#ffffff",
  bad: "#b3261e",
  goodSoft: "#9cc9c3",
  arms: ["#1f6fb4", "#d96c06", "#2f7f79", "#7a3e9d", "#8a6d00", "#5b6875"],
};

const DARK: Palette = {
  stable: "#62aeea",
  canary: "#f39a3d",
  first: "#c79be6",
  second: "#69c2ba",
  text: "#e6ebf0",
  faint: "#9dabb8",
  rule: "#303c48",
  card: "#1a232c",
  bad: "#ff8a7a",
  goodSoft: "#2f6661",
  arms: ["#62aeea", "#f39a3d", "#69c2ba", "#c79be6", "#d9bd4a", "#9dabb8"],
};

export const paletteOf = (theme: Theme): Palette => (theme === "dark" ? DARK : LIGHT);
