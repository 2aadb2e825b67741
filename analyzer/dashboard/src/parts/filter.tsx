// Search and a choice, above a list.
import type { JSX } from "preact";

interface Properties {
  search: string;
  choice: string;
  choices: readonly string[];
  all: string;
  changed: (search: string, choice: string) => void;
}

export function Filter({ search, choice, choices, all, changed }: Properties): JSX.Element {
  return (
    <form class="filter" role="search" onSubmit={(event) => event.preventDefault()}>
      <label>
        <span class="unseen">Search</span>
        <input
          type="search"
          placeholder="Search"
          value={search}
          onInput={(event) => changed(event.currentTarget.value, choice)}
        />
      </label>
      <label>
        <span class="unseen">Show</span>
        <select value={choice} onChange={(event) => changed(search, event.currentTarget.value)}>
          <option value="">{all}</option>
          {choices.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      </label>
    </form>
  );
}
