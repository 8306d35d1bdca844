/** Reports: choose a period, see what is in it, and have the workbook made. */

import { useEffect, useState } from "preact/hooks";
import type { JSX } from "preact";

import { address } from "../app/route";
import { useTandem } from "../app/tandem";
import * as format from "../format";
import { isFinished } from "../jobs/job";
import { newKey } from "../jobs/my_jobs";
import { JobRow } from "../jobs/row";
import type { OrdersSummary } from "../net/api";
import { Fault } from "../parts/fault";
import { Icon } from "../parts/icons";
import { ReportInWork } from "./in_work";
import { type Period, fault, paramsOf, periodOf, quickChoices, samePeriod } from "./period";

export function ReportsPage(): JSX.Element {
  const { jobs, router } = useTandem();
  const reports = jobs.newestFirst.value.filter((job) => job.type === "reports.orders");
  const inWork = reports.filter((job) => !isFinished(job));
  const made = reports.filter(isFinished);
  const period = periodOf(router.place.value.query);
  return (
    <div class="page">
      <header class="page-head">
        <h1>Reports</h1>
        <p class="lead">
          Every order of a period in one Excel workbook. Watch the rows being written, or come back later.
        </p>
      </header>
      <div class="split">
        <OrderReportForm period={period} />
        <section class="stack" aria-labelledby="reports-made">
          <h2 id="reports-made">Your reports</h2>
          {inWork.map((job) => (
            <ReportInWork key={job.id} job={job} />
          ))}
          {made.length > 0 && (
            <ul class="rows" aria-label="Reports">
              {made.map((job) => (
                <JobRow key={job.id} job={job} />
              ))}
            </ul>
          )}
          {reports.length === 0 && jobs.ready && (
            <div class="empty empty-small">
              <Icon name="report" />
              <p>No reports yet. Choose a period and make the first one.</p>
            </div>
          )}
        </section>
      </div>
    </div>
  );
}

function OrderReportForm({ period }: { period: Period }): JSX.Element {
  const { router, jobs, notices } = useTandem();
  const [submitting, setSubmitting] = useState(false);
  const wrong = fault(period);
  const { summary, error } = useSummary(period, wrong === "");
  const choose = (next: Period): void => router.replace(address("/reports", { ...next }));
  const empty = summary?.count === 0;

  const make = async (): Promise<void> => {
    setSubmitting(true);
    try {
      await jobs.submit("reports.orders", paramsOf(period), newKey());
      notices.announce("The report is on its way.");
      // On a phone it shows up below the form.
      document.getElementById("reports-made")?.scrollIntoView({ block: "nearest" });
    } catch (failure) {
      notices.failure(failure);
    }
    setSubmitting(false);
  };

  return (
    <form
      class="card stack"
      aria-label="Orders report"
      onSubmit={(event) => {
        event.preventDefault();
        void make();
      }}
    >
      <h2>Orders</h2>
      <QuickChoices period={period} choose={choose} />
      <div class="pair">
        <label class="field">
          <span>From</span>
          <input
            type="date"
            value={period.start}
            aria-describedby="period-fault"
            aria-invalid={wrong !== ""}
            onChange={(event) => choose({ ...period, start: event.currentTarget.value })}
          />
        </label>
        <label class="field">
          <span>To</span>
          <input
            type="date"
            value={period.end}
            aria-describedby="period-fault"
            aria-invalid={wrong !== ""}
            onChange={(event) => choose({ ...period, end: event.currentTarget.value })}
          />
        </label>
      </div>
      <div role="alert">
        {wrong && <Fault id="period-fault" message={wrong} />}
        {!wrong && error && <Fault message={error} />}
      </div>
      <Summary summary={wrong ? null : summary} />
      <button type="submit" class="button button-main button-wide" disabled={submitting || wrong !== "" || empty}>
        <Icon name="report" />
        Make the report
      </button>
    </form>
  );
}

function QuickChoices({ period, choose }: { period: Period; choose: (period: Period) => void }): JSX.Element {
  return (
    <div class="chips" role="group" aria-label="Quick choices">
      {quickChoices(new Date()).map(({ name, period: choice }) => (
        <button
          key={name}
          type="button"
          class="chip-button"
          aria-pressed={samePeriod(choice, period)}
          onClick={() => choose(choice)}
        >
          {name}
        </button>
      ))}
    </div>
  );
}

/** Keeps its height while it loads, so that the button below stays where it is. */
function Summary({ summary }: { summary: OrdersSummary | null }): JSX.Element {
  const span =
    summary?.first && summary.last
      ? `From ${format.day(new Date(summary.first))} to ${format.day(new Date(summary.last))}`
      : summary
        ? "No orders in this period. Choose another one."
        : "";
  return (
    <div class="summary" aria-live="polite" aria-busy={summary === null}>
      <dl>
        <div>
          <dt>Orders</dt>
          <dd>{summary ? format.count(summary.count) : "–"}</dd>
        </div>
        <div>
          <dt>Total</dt>
          <dd>{summary ? format.amount(summary.totalCents) : "–"}</dd>
        </div>
      </dl>
      <p class="muted">{span}</p>
    </div>
  );
}

/** What is in the period; the old answer stays on show until the new one is there. */
function useSummary(period: Period, valid: boolean): { summary: OrdersSummary | null; error: string } {
  const { api } = useTandem();
  const [answer, setAnswer] = useState<{ summary: OrdersSummary | null; error: string }>({ summary: null, error: "" });
  const { start, end } = period;
  useEffect(() => {
    if (!valid) return undefined;
    const leave = new AbortController();
    api.ordersSummary(start, end, leave.signal).then(
      (summary) => setAnswer({ summary, error: "" }),
      (error: Error) => {
        if (!leave.signal.aborted) setAnswer({ summary: null, error: error.message });
      },
    );
    return () => leave.abort();
  }, [start, end, valid]);
  return answer;
}
