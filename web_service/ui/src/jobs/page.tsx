/** My jobs: everything one asked for, newest first, live in every browser at once. */

import { useEffect } from "preact/hooks";
import type { JSX } from "preact";

import { address } from "../app/route";
import { useTandem } from "../app/tandem";
import * as format from "../format";
import { Fault } from "../parts/fault";
import { Icon } from "../parts/icons";
import { FILTERS, type Filter, matches } from "./job";
import { PAGE } from "./my_jobs";
import { JobRow } from "./row";
import { FILTER_WORDS } from "./words";

const EMPTY_WORDS: Record<Filter, string> = {
  all: "Nothing yet. Convert an image or make a report, and it shows up here.",
  running: "Nothing is running.",
  done: "Nothing is done yet.",
  failed: "Nothing has failed.",
};

export function JobsPage(): JSX.Element {
  const { jobs, router } = useTandem();
  const { query } = router.place.value;
  const filter = FILTERS.find((name) => name === query.get("state")) ?? "all";
  const wanted = Math.max(PAGE, Math.min(1000, Number(query.get("show")) || 0));
  const loaded = jobs.newestFirst.value;
  const shown = loaded.filter((job) => matches(filter, job));
  const more = loaded.length >= jobs.limit.value;
  useEffect(() => jobs.show(wanted), [wanted]);
  const showMore = (): void =>
    router.replace(address("/jobs", { state: query.get("state"), show: loaded.length + 2 * PAGE }));

  return (
    <div class="page page-narrow">
      <header class="page-head">
        <h1>My jobs</h1>
        <Filters filter={filter} show={query.get("show")} />
      </header>
      {jobs.error && <Fault message={jobs.error.message} />}
      {shown.length > 0 && (
        <ul class="rows" aria-label="Jobs">
          {shown.map((job) => (
            <JobRow key={job.id} job={job} />
          ))}
        </ul>
      )}
      {shown.length === 0 && jobs.ready && <Empty filter={filter} more={more ? loaded.length : 0} />}
      {more && (
        <button type="button" class="button button-soft button-wide" onClick={showMore}>
          Show more
        </button>
      )}
    </div>
  );
}

function Filters({ filter, show }: { filter: Filter; show: string | null }): JSX.Element {
  const { jobs } = useTandem();
  const loaded = jobs.newestFirst.value;
  const more = loaded.length >= jobs.limit.value ? "+" : "";
  return (
    <nav class="chips" aria-label="Filter">
      {FILTERS.map((name) => {
        const count = loaded.filter((job) => matches(name, job)).length;
        return (
          <a
            key={name}
            class="chip-button"
            href={address("/jobs", { state: name === "all" ? null : name, show })}
            {...(name === filter ? { "aria-current": "true" as const } : {})}
          >
            {FILTER_WORDS[name]} <span class="chip-count">{format.count(count) + (name === "all" ? more : "")}</span>
          </a>
        );
      })}
    </nav>
  );
}

function Empty({ filter, more }: { filter: Filter; more: number }): JSX.Element {
  return (
    <div class="empty">
      <Icon name={filter === "failed" ? "check" : "list"} />
      <p>{more && filter !== "all" ? `None among the newest ${format.count(more)} jobs.` : EMPTY_WORDS[filter]}</p>
      {filter === "all" && (
        <a class="button button-main" href="/convert">
          Convert images
        </a>
      )}
    </div>
  );
}
