/** Columns aligned with blanks, as Go's text/tabwriter does: the last column is not padded. */
export function textTable(rows: readonly (readonly string[])[], padding: number): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.slice(0, -1).entries()) {
      widths[column] = Math.max(widths[column] ?? 0, [...cell].length + padding);
    }
  }
  return rows
    .map(
      (row) =>
        `${row.map((cell, column) => (column === row.length - 1 ? cell : pad(cell, widths[column]))).join("")}\n`,
    )
    .join("");
}

function pad(cell: string, width = 0): string {
  return cell + " ".repeat(Math.max(width - [...cell].length, 0));
}
