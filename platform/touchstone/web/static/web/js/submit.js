// What a chosen file is, by its first bytes and its name: the kind is chosen for the person, who may choose another.

const TEXT = /\.(csv|tsv|txt)$/i;
const textOf = (bytes) => new TextDecoder("latin1").decode(bytes);

const kindOf = async (file) => {
  const head = new Uint8Array(await file.slice(0, 4096).arrayBuffer());
  const text = textOf(head);
  const name = file.name.toLowerCase();
  if (text.startsWith("PAR1") || /\.(parquet|npz)$/.test(name)) return "predictions";
  if (text.slice(257, 262) === "ustar" || /\.(tar|tgz|tar\.gz|tar\.zst)$/.test(name)) return "container";
  if (text.startsWith("PK\u0003\u0004") || name.endsWith(".zip")) return "code";
  // An ONNX file is a protobuf whose first field is its version, a small number; its producer's name comes soon.
  if (name.endsWith(".onnx") || (head[0] === 8 && head[1] < 32 && head[2] === 18)) return "model";
  if (TEXT.test(name) && !text.includes("\u0000")) return "predictions";
  if (/^"?id"?[,;\t]/i.test(text)) return "predictions";
  return "";
};

document.addEventListener("upload:chosen", async (event) => {
  const { file } = event.detail;
  const form = event.target.closest("form");
  const told = form.querySelector("[data-kind]");
  if (!told) return;
  const kind = await kindOf(file);
  const option = form.querySelector(`input[name=kind][value="${kind}"]`);
  if (option) option.checked = true;
  const words = option ? told.dataset.sayKnown : kind ? told.dataset.sayRefused : told.dataset.sayUnknown;
  told.textContent = words.replace("{name}", () => file.name).replace("{kind}", () => told.dataset[kind] || "");
});
document.addEventListener("upload:gone", (event) => {
  const told = event.target.closest("form").querySelector("[data-kind]");
  if (told) told.textContent = "";
});
