/** Comments between two tokens, as protoc attaches them. */
export interface Between {
  /** Belongs to the declaration before. */
  readonly trailing: string | undefined;
  readonly detached: readonly string[];
  /** Belongs to the declaration that begins here. */
  readonly leading: string | undefined;
}

/**
 * Sorts comments by protoc's rules: one on the line of the token before, or right below it with a blank line after it, trails that one; one
 * right above the next token leads it; the others are detached.
 */
export class Comments {
  #trailing: string | undefined;
  readonly #detached: string[] = [];
  #buffer: string | undefined;
  #mayTrail: boolean;
  #sameLine: boolean;
  /** A block comment, on the line of the token before, that no newline has followed yet. */
  #pendingBlock = false;
  #lineIsBlank = false;
  #inLines = false;

  constructor(atStart: boolean) {
    this.#mayTrail = !atStart;
    this.#sameLine = !atStart;
    this.#lineIsBlank = atStart;
  }

  newline(): void {
    if (this.#lineIsBlank) {
      this.#flush();
      this.#mayTrail = false;
    } else if (this.#pendingBlock) this.#flush();
    this.#pendingBlock = false;
    this.#sameLine = false;
    this.#lineIsBlank = true;
  }

  /** A `//` comment with its newline. */
  line(text: string): void {
    if (this.#sameLine) {
      this.#flush();
      this.#buffer = text;
      this.#flush();
      this.#inLines = false;
    } else {
      if (!this.#inLines) this.#flush();
      this.#buffer = (this.#buffer ?? "") + text;
      this.#inLines = true;
    }
    this.#pendingBlock = false;
    this.#sameLine = false;
    this.#lineIsBlank = true;
  }

  block(text: string): void {
    this.#flush();
    this.#buffer = text.replaceAll(/\n[ \t\r\f\v]*\*?/g, "\n");
    this.#inLines = false;
    this.#pendingBlock = this.#sameLine;
    this.#lineIsBlank = false;
  }

  /** The next token has come. */
  end(next: string): Between {
    // Between two tokens of one line it could be of either.
    if (this.#pendingBlock) this.#buffer = undefined;
    if ("}])".includes(next) && next !== "") this.#flush();
    return { trailing: this.#trailing, detached: this.#detached, leading: this.#buffer };
  }

  #flush(): void {
    if (this.#buffer === undefined) return;
    if (this.#mayTrail) this.#trailing = this.#buffer;
    else this.#detached.push(this.#buffer);
    this.#mayTrail = false;
    this.#buffer = undefined;
    this.#inLines = false;
  }
}
