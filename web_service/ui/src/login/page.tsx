/** Log in: a real form, so that password managers fill and keep it. */

import { useRef, useState } from "preact/hooks";
import type { JSX, TargetedEvent } from "preact";

import { useTandem } from "../app/tandem";
import { Fault } from "../parts/fault";
import { Mark } from "../parts/icons";
import { HttpError } from "../net/api";

export function LoginPage(): JSX.Element {
  const { session } = useTandem();
  const [fault, setFault] = useState<{ message: string; code: string } | null>(null);
  const [busy, setBusy] = useState(false);
  const password = useRef<HTMLInputElement>(null);

  const submit = async (event: TargetedEvent<HTMLFormElement, SubmitEvent>): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setBusy(true);
    try {
      await session.login(String(form.get("username")).trim(), String(form.get("password")));
    } catch (error) {
      setFault(faultOf(error));
      setBusy(false);
      password.current?.select();
    }
  };

  return (
    <section class="login">
      <div class="login-brand">
        <Mark />
        <span>Tandem</span>
      </div>
      <h1>Log in</h1>
      <p class="lead">Convert images and make reports. You watch, the server does the work.</p>
      <form method="post" action="/api/login" onSubmit={(event) => void submit(event)} class="stack">
        <div role="alert">{fault && <Fault {...fault} />}</div>
        <label class="field">
          <span>Username</span>
          <input
            name="username"
            autocomplete="username"
            autocapitalize="none"
            spellcheck={false}
            required
            autofocus
          />
        </label>
        <label class="field">
          <span>Password</span>
          <input ref={password} name="password" type="password" autocomplete="current-password" required />
        </label>
        <button type="submit" class="button button-main button-wide" disabled={busy}>
          {busy ? "Logging in…" : "Log in"}
        </button>
      </form>
    </section>
  );
}

function faultOf(error: unknown): { message: string; code: string } {
  if (!(error instanceof HttpError)) return { message: String(error), code: "internal" };
  const wrong = error.code === "bad-credentials";
  return { message: wrong ? "That username and password don’t match. Try again." : error.message, code: error.code };
}
