// A part that fails to draw must not take the rest of the page with it.
import type { ComponentChildren } from "preact";
import { Component } from "preact";

export class Boundary extends Component<{ children: ComponentChildren }, { failed: string | null }> {
  override state = { failed: null };

  static override getDerivedStateFromError(error: unknown): { failed: string } {
    return { failed: String(error) };
  }

  override render(): ComponentChildren {
    if (this.state.failed === null) return this.props.children;
    return (
      <p class="problem" role="alert">
        This part of the page cannot be drawn: {this.state.failed}
      </p>
    );
  }
}
