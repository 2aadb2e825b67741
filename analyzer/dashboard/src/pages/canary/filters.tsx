// The filters in the proxies: how many report, which plan they follow, how old their last report is.
import type { JSX } from "preact";
import type { Canary, Filter } from "../../api/types";
import { Card } from "../../parts/bits";
import { Table } from "../../parts/table";
import { useNow, useShared } from "../../shared";
import { clockOf, length, utc } from "../../words/time";

/** A filter that is silent for three of its intervals, five seconds at least, is late. */
const late = (filter: Filter, then: number): boolean => then - filter.lastSeen > Math.max(5000, 3 * filter.intervalMs);

export function Filters({ canary }: { canary: Canary }): JSX.Element {
  const { world } = useShared().view;
  const now = useNow();
  // Filters are told of every five seconds: each one's age is that of then.
  const then = world.filtersTime;
  const pending = world.filters.filter((filter) => filter.pending).length;
  const silent = world.filters.filter((filter) => late(filter, then)).length;
  const last = canary.summary.last_report;
  return (
    <Card title="Filters">
      <p>
        <strong>{world.filters.length}</strong> report;{" "}
        {pending === 0 ? "all follow" : `${pending} have yet to take over`} plan {world.planRevision}
        {silent > 0 && (
          <>
            , <strong class="worse">{silent} late</strong>
          </>
        )}
        . {last !== null && <span title={utc(last)}>The last report came {length(now - last)} ago.</span>}
      </p>
      {world.filters.length === 0 && (
        <p class="none">
          No filter has reported within the last half minute: nothing is judged, and the weight is held.
        </p>
      )}
      {world.filters.length > 0 && (
        <Table label="Filters" heads={["Node", "Instance", "Plan", `Last report, at ${clockOf(then)}`]} tall>
          {world.filters.map((filter) => (
            <tr key={filter.instance}>
              <th scope="row">{filter.node}</th>
              <td>{filter.instance}</td>
              <td>{filter.pending ? `${filter.planRevision} (old)` : filter.planRevision}</td>
              <td class={late(filter, then) ? "worse" : ""} title={utc(filter.lastSeen)}>
                {length(then - filter.lastSeen)} before
              </td>
            </tr>
          ))}
        </Table>
      )}
    </Card>
  );
}
