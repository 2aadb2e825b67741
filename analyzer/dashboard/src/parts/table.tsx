// A table of numbers; where the window is narrower, it alone scrolls sideways, by keyboard too.
import type { ComponentChildren, JSX } from "preact";

interface Properties {
  /** What a screen reader calls it. */
  label: string;
  /** What stands above the columns. */
  heads: readonly ComponentChildren[];
  /** May be so long that it scrolls downwards, too. */
  tall?: boolean;
  /** The rows, each a `<tr>` that begins with a `<th scope="row">`. */
  children: ComponentChildren;
}

export function Table({ label, heads, tall, children }: Properties): JSX.Element {
  return (
    <div
      class={tall === true ? "scroll tall" : "scroll"}
      tabIndex={0}
      role="region"
      aria-label={`${label}, as a table`}
    >
      <table class="numbers">
        <thead>
          <tr>
            {heads.map((head, place) => (
              <th key={place} scope="col">
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}
