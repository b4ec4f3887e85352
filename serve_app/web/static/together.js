// Both frames in one picture, with the reference placed in the query by the hints.

const WIDTH = 960;

// `only`: "query" or "reference" alone (blink); otherwise their difference: black means equal.
export function drawTogether(canvas, query, reference, hints, only) {
  if (!query) return;
  canvas.width = WIDTH;
  canvas.height = Math.round((WIDTH * heightOf(query)) / widthOf(query));
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#000";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  if (only !== "reference") pen.drawImage(query, 0, 0, canvas.width, canvas.height);
  if (!reference || only === "query") return;
  if (!only) pen.globalCompositeOperation = "difference";
  drawReference(pen, canvas, reference, hints);
  pen.globalCompositeOperation = "source-over";
}

function drawReference(pen, canvas, reference, hints) {
  const hint = (kind) => hints.find((one) => one.kind === kind);
  const inset = hint("inset")?.box;
  const cropped = hint("cropped")?.box;
  let [left, top, width, height] = [0, 0, canvas.width, canvas.height];
  if (inset) [left, top, width, height] = [inset.left * width, inset.top * height, inset.width * width, inset.height * height];
  if (cropped) [left, top, width, height] = [(-cropped.left * width) / cropped.width, (-cropped.top * height) / cropped.height, width / cropped.width, height / cropped.height];
  pen.save();
  pen.translate(left + width / 2, top + height / 2);
  const degrees = hint("rotated")?.value ?? 0;
  pen.rotate((degrees * Math.PI) / 180);
  if (hint("mirrored")) pen.scale(-1, 1);
  if (degrees % 180) [width, height] = [height, width];
  pen.drawImage(reference, -width / 2, -height / 2, width, height);
  pen.restore();
}

const widthOf = (shown) => shown.videoWidth || shown.naturalWidth;
const heightOf = (shown) => shown.videoHeight || shown.naturalHeight;
