# Draws a piece of the Mandelbrot set as SVG, runs of one colour as one rectangle.
# Variables: x, y = centre; size = width of the piece; columns = resolution.
BEGIN {
  rows = int(columns * 2 / 3)
  step = size / columns
  limit = 96
  printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" shape-rendering=\"crispEdges\">\n", columns, rows
  for (row = 0; row < rows; row++) {
    ci = y + (row - rows / 2) * step
    start = 0
    last = -1
    for (column = 0; column <= columns; column++) {
      n = column == columns ? -2 : iterations(x + (column - columns / 2) * step, ci)
      if (n == last) continue
      if (column > 0) printf "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"1\" fill=\"%s\"/>\n", start, row, column - start, colour(last)
      start = column
      last = n
    }
  }
  print "</svg>"
}

function iterations(cr, ci,    zr, zi, zr2, zi2, n) {
  zr = zi = zr2 = zi2 = 0
  for (n = 0; n < limit && zr2 + zi2 < 4; n++) {
    zi = 2 * zr * zi + ci
    zr = zr2 - zi2 + cr
    zr2 = zr * zr
    zi2 = zi * zi
  }
  return n
}

function colour(n) {
  if (n == limit) return "#101020"
  return sprintf("hsl(%d,70%%,%d%%)", (200 + n * 7) % 360, 25 + n % 12 * 4)
}
