/** An error as a person needs it: what happened, and the code to give to support. */

import type { JSX } from "preact";

import { Icon } from "./icons";

export function Fault({ message, code, id }: { message: string; code?: string; id?: string }): JSX.Element {
  return (
    <p class="fault" {...(id ? { id } : {})}>
      <Icon name="alert" />
      <span>
        {message} {code && <span class="code">code {code}</span>}
      </span>
    </p>
  );
}
