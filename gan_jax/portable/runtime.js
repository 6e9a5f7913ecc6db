// Runs a network that gan_jax.portable has packed: plain JavaScript, one sample at a time, in float32.
//
//   const network = ganJax.load(packed);         // what portable.pack made, parsed from JSON
//   const image = network.run(latents, label);   // Float32Array of network.outputShape, rows first
//
// gan_jax/portable/layers.py says what each layer does; numpy_interpreter.py is the reference.
const ganJax = (() => {
  "use strict";

  const count = (shape) => shape.reduce((product, n) => product * n, 1);

  function strides(shape) {
    const found = new Array(shape.length).fill(1);
    for (let i = shape.length - 2; i >= 0; i--) found[i] = found[i + 1] * shape[i + 1];
    return found;
  }

  // Read x along the given steps of each axis of the result's shape, from a first element on.
  function walk(x, shape, steps, start = 0) {
    const result = new Float32Array(count(shape));
    const index = new Array(shape.length).fill(0);
    let place = start;
    for (let i = 0; i < result.length; i++) {
      result[i] = x[place];
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        place += steps[axis];
        if (++index[axis] < shape[axis]) break;
        place -= steps[axis] * shape[axis];
        index[axis] = 0;
      }
    }
    return result;
  }

  function broadcast(x, from, to) {
    if (x.length === count(to)) return x;
    const padded = new Array(to.length - from.length).fill(1).concat(from);
    const steps = strides(padded).map((step, axis) => (padded[axis] === 1 ? 0 : step));
    return walk(x, to, steps);
  }

  // Abramowitz and Stegun 7.1.26; its greatest error is 1.5e-7.
  function erf(x) {
    const t = 1 / (1 + 0.3275911 * Math.abs(x));
    const sum = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    return Math.sign(x) * (1 - sum * Math.exp(-x * x));
  }

  const UNARY = {
    relu: (x) => (x > 0 ? x : 0),
    tanh: Math.tanh,
    logistic: (x) => 1 / (1 + Math.exp(-x)),
    exp: Math.exp, expm1: Math.expm1, log: Math.log, log1p: Math.log1p,
    erf,
    sqrt: Math.sqrt, rsqrt: (x) => 1 / Math.sqrt(x), abs: Math.abs, sin: Math.sin, cos: Math.cos,
  };
  const BINARY = {
    add: (x, y) => x + y, subtract: (x, y) => x - y, multiply: (x, y) => x * y, divide: (x, y) => x / y,
    maximum: Math.max, minimum: Math.min,
    greater: (x, y) => +(x > y), greater_equal: (x, y) => +(x >= y),
    less: (x, y) => +(x < y), less_equal: (x, y) => +(x <= y), equal: (x, y) => +(x === y),
  };

  function dense(layer, x) {
    const { kernel, bias } = layer.weights;
    const [inputs, outputs] = layer.shapes.kernel;
    const rows = x.length / inputs;
    const result = new Float32Array(rows * outputs);
    for (let row = 0; row < rows; row++) {
      const from = row * inputs, to = row * outputs;
      for (let o = 0; o < outputs; o++) result[to + o] = bias[o];
      for (let i = 0; i < inputs; i++) {
        const value = x[from + i];
        if (value === 0) continue;
        for (let o = 0, k = i * outputs; o < outputs; o++, k++) result[to + o] += value * kernel[k];
      }
    }
    return result;
  }

  // Which input pixel a tap of the kernel meets: -1 where it meets padding, or a zero between spread pixels.
  function met(output, tap, stride, low, dilation, size) {
    const place = output * stride + tap - low;
    return place < 0 || place % dilation || place / dilation >= size ? -1 : place / dilation;
  }

  function conv(layer, x, [from]) {
    const { kernel, bias } = layer.weights;
    const [tall, wide, inputs, outputs] = layer.shapes.kernel;
    const [height, width] = layer.shape;
    const result = new Float32Array(height * width * outputs);
    for (let row = 0, to = 0; row < height; row++) {
      for (let column = 0; column < width; column++, to += outputs) {
        for (let o = 0; o < outputs; o++) result[to + o] = bias[o];
        for (let i = 0; i < tall; i++) {
          const y = met(row, i, layer.strides[0], layer.padding[0][0], layer.dilation[0], from[0]);
          if (y < 0) continue;
          for (let j = 0; j < wide; j++) {
            const z = met(column, j, layer.strides[1], layer.padding[1][0], layer.dilation[1], from[1]);
            if (z < 0) continue;
            let k = (i * wide + j) * inputs * outputs;
            for (let c = 0, p = (y * from[1] + z) * inputs; c < inputs; c++, p++) {
              const value = x[p];
              for (let o = 0; o < outputs; o++, k++) result[to + o] += value * kernel[k];
            }
          }
        }
      }
    }
    return result;
  }

  function affine(layer, x) {
    const scale = broadcast(layer.weights.scale, layer.shapes.scale, layer.shape);
    const shift = broadcast(layer.weights.shift, layer.shapes.shift, layer.shape);
    return x.map((value, i) => value * scale[i] + shift[i]);
  }

  function concatenate(layer, parts, shapes) {
    const after = count(layer.shape.slice(layer.axis + 1));
    const result = new Float32Array(count(layer.shape));
    const row = layer.shape[layer.axis] * after;
    for (let part = 0, offset = 0; part < parts.length; part++) {
      const length = shapes[part][layer.axis] * after;
      for (let from = 0, to = offset; from < parts[part].length; from += length, to += row) {
        result.set(parts[part].subarray(from, from + length), to);
      }
      offset += length;
    }
    return result;
  }

  function pad(layer, x, [from]) {
    const result = new Float32Array(count(layer.shape));
    const steps = strides(layer.shape);
    const start = steps.reduce((sum, step, axis) => sum + step * layer.low[axis], 0);
    const places = walk(Float32Array.from(result.keys()), from, steps, start);
    places.forEach((place, i) => { result[place] = x[i]; });
    return result;
  }

  function reduce(layer, x, [from]) {
    const result = new Float32Array(count(layer.shape)).fill({ sum: 0, max: -Infinity, min: Infinity }[layer.kind]);
    const join = { sum: BINARY.add, max: Math.max, min: Math.min }[layer.kind];
    const places = broadcast(Float32Array.from(result.keys()), layer.shape, from);
    x.forEach((value, i) => { result[places[i]] = join(result[places[i]], value); });
    return result;
  }

  function slice(layer, x, [from]) {
    const steps = strides(from);
    const start = steps.reduce((sum, step, axis) => sum + step * layer.start[axis], 0);
    return walk(x, layer.shape, steps.map((step, axis) => step * layer.step[axis]), start);
  }

  function transpose(layer, x, [from]) {
    const steps = strides(from);
    return walk(x, layer.shape, layer.axes.map((axis) => steps[axis]));
  }

  const OTHERS = {
    dense, conv, affine, pad, reduce, slice, transpose,
    leaky_relu: (layer, x) => x.map((value) => (value >= 0 ? value : layer.slope * value)),
    power: (layer, x) => x.map((value) => value ** layer.exponent),
    reshape: (layer, x) => x,
    broadcast: (layer, x, [from]) => broadcast(x, from, layer.shape),
  };

  function apply(layer, given, shapes, input, label) {
    const [x, y, z] = given;
    if (layer.op === "input") return input;
    if (layer.op === "constant") return layer.weights.value;
    if (layer.op === "embedding") {
      const size = count(layer.shape);
      return layer.weights.table.subarray(label * size, (label + 1) * size);
    }
    if (layer.op === "concatenate") return concatenate(layer, given, shapes);
    if (layer.op === "select") return x.map((value, i) => (value !== 0 ? z[i] : y[i]));
    if (layer.op in UNARY) return x.map((value) => UNARY[layer.op](value));
    if (layer.op in BINARY) return x.map((value, i) => BINARY[layer.op](value, y[i]));
    return OTHERS[layer.op](layer, x, shapes);
  }

  function halfToNumber(bits) {
    const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
    return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24);
  }

  function unpack(packed) {
    const bytes = Uint8Array.from(atob(packed.weights), (letter) => letter.charCodeAt(0));
    const view = new DataView(bytes.buffer), arrays = {};
    for (const [name, { shape, type, start }] of Object.entries(packed.arrays)) {
      arrays[name] = Float32Array.from({ length: count(shape) }, (_, i) =>
        type === "float16" ? halfToNumber(view.getUint16(start + 2 * i, true)) : view.getFloat32(start + 4 * i, true));
    }
    return arrays;
  }

  function load(packed) {
    const arrays = unpack(packed);
    const layers = packed.layers.map((layer) => {
      const names = Object.entries(layer.arrays || {});
      return {
        ...layer,
        weights: Object.fromEntries(names.map(([role, name]) => [role, arrays[name]])),
        shapes: Object.fromEntries(names.map(([role, name]) => [role, packed.arrays[name].shape])),
      };
    });
    function run(input, label = 0) {
      const values = [];
      for (const layer of layers) {
        const given = layer.of.map((place) => values[place]);
        values.push(apply(layer, given, layer.of.map((place) => layers[place].shape), Float32Array.from(input), label));
      }
      return values[values.length - 1];
    }
    return { inputShape: packed.input_shape, outputShape: packed.output_shape, numClasses: packed.num_classes, run, layers };
  }

  return { load };
})();
