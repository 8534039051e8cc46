// The marks of nodes, and lines. Each state has its own shape, so that colour is never the
// only difference. The legend and the table use the same shapes.

import { blend, colour } from "./palette.js";

const TURN = 2 * Math.PI;

/** Draws the mark of a state. The share of relayed messages, 0 to 1, sets the colour. */
export function mark(g, x, y, r, state, part) {
  g.lineWidth = 2;
  g.beginPath();
  switch (state) {
    case "active":
      g.arc(x, y, r, 0, TURN);
      g.fillStyle = blend("flow", "load", part);
      g.strokeStyle = colour("card");
      g.fill();
      g.stroke();
      return;
    case "linking":
      circle(g, x, y, r, "flow");
      g.beginPath();
      g.arc(x, y, r - 1, Math.PI / 2, 1.5 * Math.PI);
      g.fillStyle = colour("flow");
      g.fill();
      return;
    case "suspect":
      g.moveTo(x, y - r - 3);
      g.lineTo(x + r + 3, y);
      g.lineTo(x, y + r + 3);
      g.lineTo(x - r - 3, y);
      g.closePath();
      g.fillStyle = colour("warn");
      g.strokeStyle = colour("card");
      g.fill();
      g.stroke();
      return;
    case "stuck":
      g.moveTo(x, y + r + 2);
      g.lineTo(x + r + 2, y - r);
      g.lineTo(x - r - 2, y - r);
      g.closePath();
      g.fillStyle = colour("warn");
      g.strokeStyle = colour("card");
      g.fill();
      g.stroke();
      return;
    case "leaving":
      g.rect(x - r + 1, y - r + 1, 2 * r - 2, 2 * r - 2);
      g.fillStyle = colour("card");
      g.strokeStyle = colour("soft");
      g.fill();
      g.stroke();
      return;
    case "dead":
      cross(g, x, y, r - 1, colour("card"), 6);
      cross(g, x, y, r - 1, colour("bad"), 3);
      return;
    case "left":
      circle(g, x, y, r - 1, "soft");
      g.beginPath();
      g.moveTo(x - r, y + r);
      g.lineTo(x + r, y - r);
      g.stroke();
      return;
  }
  circle(g, x, y, r - 1, "soft");
}

/** Draws the sign of a node with a detour: it cannot reach some node, or be reached by it. */
export function sign(g, x, y) {
  g.beginPath();
  g.moveTo(x, y - 6);
  g.lineTo(x + 6, y + 5);
  g.lineTo(x - 6, y + 5);
  g.closePath();
  g.fillStyle = colour("odd");
  g.strokeStyle = colour("card");
  g.lineWidth = 1.5;
  g.fill();
  g.stroke();
}

function circle(g, x, y, r, name) {
  g.beginPath();
  g.arc(x, y, r, 0, TURN);
  g.fillStyle = colour("card");
  g.strokeStyle = colour(name);
  g.lineWidth = 2;
  g.fill();
  g.stroke();
}

function cross(g, x, y, r, style, width) {
  g.strokeStyle = style;
  g.lineWidth = width;
  g.lineCap = "round";
  g.beginPath();
  g.moveTo(x - r, y - r);
  g.lineTo(x + r, y + r);
  g.moveTo(x + r, y - r);
  g.lineTo(x - r, y + r);
  g.stroke();
  g.lineCap = "butt";
}

/** Adds a curve [x0, y0, cx, cy, x1, y1] to the path. */
export function trace(g, [x0, y0, cx, cy, x1, y1]) {
  g.moveTo(x0, y0);
  g.quadraticCurveTo(cx, cy, x1, y1);
}

/** Strokes a curve. */
export function line(g, curve) {
  g.beginPath();
  trace(g, curve);
  g.stroke();
}

/** Draws an arrow head a little before the end of a curve. */
export function arrow(g, [, , cx, cy, x1, y1], style, size) {
  const a = Math.atan2(y1 - cy, x1 - cx), x = x1 - 11 * Math.cos(a), y = y1 - 11 * Math.sin(a);
  g.fillStyle = style;
  g.beginPath();
  g.moveTo(x, y);
  g.lineTo(x - size * Math.cos(a - 0.45), y - size * Math.sin(a - 0.45));
  g.lineTo(x - size * Math.cos(a + 0.45), y - size * Math.sin(a + 0.45));
  g.fill();
}
