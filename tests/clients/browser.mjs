// Gives files the pixels in headless Chromium and prints what it answers, a line of JSON for each file.
// Usage: node browser.mjs MODULES CHROMIUM JOB.json, where the job has `client` (a function below) and `files`.
import {createServer} from 'node:http';
import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {extname, join, normalize} from 'node:path';

const [modules, executablePath, job] = process.argv.slice(2);
const {client, files} = JSON.parse(readFileSync(job, 'utf8'));
const {chromium} = createRequire(join(modules, 'x'))('playwright-core');
const types = {'.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm', '.html': 'text/html'};
const page = `<!doctype html><script type="importmap">
{"imports": {"@litertjs/core": "/m/@litertjs/core/dist/index.js",
 "@litertjs/wasm-utils": "/m/@litertjs/wasm-utils/dist/index.js"}}</script>`;

const server = createServer((request, response) => {
  const path = normalize(decodeURIComponent(new URL(request.url, 'http://x').pathname));
  const headers = {'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp'};
  try {
    const file = path.startsWith('/f/') ? files[parseInt(path.slice(3))].path : join(modules, path.slice(3));
    const body = path === '/' ? page : readFileSync(file);
    response.writeHead(200, {...headers, 'Content-Type': path === '/' ? 'text/html' : types[extname(path)] ?? ''});
    response.end(body);
  } catch {
    response.writeHead(404).end();
  }
}).listen(0, '127.0.0.1');
await new Promise(resolve => server.once('listening', resolve));
const origin = `http://127.0.0.1:${server.address().port}`;

// What runs in the page: each takes a file and its pixels [H,W,3], and gives scores and perhaps names.
const clients = {
  async mediapipe({url, pixels, height, width}) {
    const {FilesetResolver, ImageClassifier} = await import('/m/@mediapipe/tasks-vision/vision_bundle.mjs');
    const resolver = await FilesetResolver.forVisionTasks('/m/@mediapipe/tasks-vision/wasm');
    const modelAssetBuffer = new Uint8Array(await (await fetch(url)).arrayBuffer());
    const options = {baseOptions: {modelAssetBuffer, delegate: 'CPU'}, maxResults: -1};
    const classifier = await ImageClassifier.createFromOptions(resolver, options);
    const picture = new ImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      for (let c = 0; c < 3; c++) picture.data[4 * i + c] = pixels[3 * i + c];
      picture.data[4 * i + 3] = 255;
    }
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [width, height];
    canvas.getContext('2d').putImageData(picture, 0, 0);
    const {categories} = classifier.classify(canvas).classifications[0];
    categories.sort((one, next) => one.index - next.index);
    classifier.close();
    return {scores: categories.map(c => c.score), names: categories.map(c => c.categoryName)};
  },
  async litert({url, pixels, shape, dtype, outputScale, outputZeroPoint}) {
    const {loadLiteRt, loadAndCompile, Tensor} = await import('@litertjs/core');
    if (!window.loaded) window.loaded = loadLiteRt('/m/@litertjs/core/wasm/');
    await window.loaded;
    const model = await loadAndCompile(url, {accelerator: 'wasm'});
    const kinds = {float32: Float32Array, uint8: Uint8Array, int8: Int8Array};
    const results = await model.run(new Tensor(kinds[dtype].from(pixels), shape));
    const [tensor] = Array.isArray(results) ? results : Object.values(results);
    const scores = Array.from(await tensor.data());
    return {scores: outputScale ? scores.map(s => (s - outputZeroPoint) * outputScale) : scores};
  },
  async onnxruntime({url, pixels, shape, dtype}) {
    const ort = await import('/m/onnxruntime-web/dist/ort.wasm.min.mjs');
    ort.env.wasm.wasmPaths = '/m/onnxruntime-web/dist/';
    ort.env.wasm.numThreads = 1;
    const session = await ort.InferenceSession.create(new Uint8Array(await (await fetch(url)).arrayBuffer()));
    const kinds = {float32: Float32Array, uint8: Uint8Array};
    const taken = new ort.Tensor(dtype, kinds[dtype].from(pixels), shape);
    const given = await session.run({[session.inputNames[0]]: taken});
    return {scores: Array.from(given[session.outputNames[0]].data)};
  },
};

const browser = await chromium.launch({executablePath, args: ['--no-sandbox']});
for (const [i, file] of files.entries()) {
  const tab = await browser.newPage();
  let answer;
  try {
    await tab.route(url => url.origin !== origin && url.protocol !== 'blob:', route => route.abort());
    await tab.goto(origin);
    const script = `(${clients[client].toString().replace(/^async \w+/, 'async function')})`;
    const given = {...file, url: `/f/${i}`, pixels: undefined};
    const pixels = Array.from(readFileSync(file.ordered));
    answer = await tab.evaluate(
      ([code, values]) => (0, eval)(code)(values), [script, {...given, pixels}]);
  } catch (error) {
    answer = {error: String(error?.message ?? error).replace(/\s+/g, ' ')};
  }
  console.log(JSON.stringify(answer));
  await tab.close();
}
await browser.close();
server.close();
