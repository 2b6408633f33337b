// silu(group_norm(x + shift)) and its gradient, in bfloat16 with channels last. Processes one picture at a time, on the calling thread.
#include <torch/extension.h>

#include <cmath>
#include <cstdint>
#include <vector>

namespace {

inline float widen(uint16_t value) {
  const uint32_t bits = uint32_t(value) << 16;
  float result;
  __builtin_memcpy(&result, &bits, 4);
  return result;
}

// Rounds to the nearest, ties to even.
inline uint16_t narrow(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  return uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// 1 / (1 + exp(-z)) to 1e-5 of itself, which is far below a rounding to bfloat16. A loop of it becomes vector instructions.
inline float sigmoid(float z) {
  // exp(-z) = 2^whole * 2^part, where part is within 1/2 of 0 and its power is a polynomial (Taylor's, with the last term less).
  const float y = std::min(std::max(z * -1.44269504f, -126.f), 126.f), whole = std::nearbyint(y), part = y - whole;
  const float power = 1 + part * (0.69314718f + part * (0.24022651f + part * (0.05550411f + part * (0.00961813f + part * 0.00133336f))));
  const int32_t bits = (int32_t(whole) + 127) << 23;
  float scale;
  __builtin_memcpy(&scale, &bits, 4);
  return 1 / (1 + power * scale);
}

const uint16_t* input(const at::Tensor& tensor) { return reinterpret_cast<const uint16_t*>(tensor.const_data_ptr<at::BFloat16>()); }
uint16_t* output(at::Tensor& tensor) { return reinterpret_cast<uint16_t*>(tensor.data_ptr<at::BFloat16>()); }

void check(const at::Tensor& x) {
  TORCH_CHECK(x.scalar_type() == at::kBFloat16 && x.dim() == 4, "expected bfloat16 of four dimensions");
  TORCH_CHECK(x.is_contiguous(at::MemoryFormat::ChannelsLast), "expected channels last");
}

// x: [n, c, h, w]; shift: [n, c] floats; weight, bias: [c] floats. Returns the result, and each group's mean and 1 / deviation, [n, groups].
std::vector<at::Tensor> forward(at::Tensor x, at::Tensor shift, at::Tensor weight, at::Tensor bias, int64_t groups, double eps) {
  check(x);
  const int64_t n = x.size(0), c = x.size(1), pixels = x.size(2) * x.size(3), each = c / groups;
  auto y = at::empty_like(x);
  auto mean = at::empty({n, groups}, shift.options()), scale = at::empty({n, groups}, shift.options());
  const float *gamma = weight.const_data_ptr<float>(), *beta = bias.const_data_ptr<float>();
  std::vector<float> sums(c), squares(c), factor(c), offset(c);
  for (int64_t i = 0; i < n; i++) {
    const uint16_t* __restrict from = input(x) + i * pixels * c;
    uint16_t* __restrict to = output(y) + i * pixels * c;
    const float* __restrict moved = shift.const_data_ptr<float>() + i * c;
    float *__restrict s = sums.data(), *__restrict q = squares.data(), *__restrict f = factor.data(), *__restrict o = offset.data();
    std::fill(sums.begin(), sums.end(), 0.f);
    std::fill(squares.begin(), squares.end(), 0.f);
    for (int64_t p = 0; p < pixels; p++) {
      for (int64_t k = 0; k < c; k++) {
        const float value = widen(from[p * c + k]) + moved[k];
        s[k] += value;
        q[k] += value * value;
      }
    }
    for (int64_t g = 0; g < groups; g++) {
      double sum = 0, square = 0;
      for (int64_t k = g * each; k < (g + 1) * each; k++) sum += s[k], square += q[k];
      const double count = double(each) * pixels, m = sum / count;
      const double inverse = 1 / std::sqrt(std::max(0., square / count - m * m) + eps);
      mean.data_ptr<float>()[i * groups + g] = m;
      scale.data_ptr<float>()[i * groups + g] = inverse;
      for (int64_t k = g * each; k < (g + 1) * each; k++) {
        f[k] = gamma[k] * inverse;
        o[k] = beta[k] + (moved[k] - m) * f[k];
      }
    }
    for (int64_t p = 0; p < pixels; p++) {
      for (int64_t k = 0; k < c; k++) {
        const float z = widen(from[p * c + k]) * f[k] + o[k];
        to[p * c + k] = narrow(z * sigmoid(z));
      }
    }
  }
  return {y, mean, scale};
}

// Gradients of x, shift, weight and bias.
std::vector<at::Tensor> backward(at::Tensor dy, at::Tensor x, at::Tensor shift, at::Tensor weight, at::Tensor bias, at::Tensor mean, at::Tensor scale) {
  check(x);
  check(dy);
  const int64_t n = x.size(0), c = x.size(1), pixels = x.size(2) * x.size(3), groups = mean.size(1), each = c / groups;
  auto dx = at::empty_like(x);
  auto dshift = at::empty_like(shift), dweight = at::zeros_like(weight), dbias = at::zeros_like(bias);
  const float *gamma = weight.const_data_ptr<float>(), *beta = bias.const_data_ptr<float>();
  std::vector<float> factor(c), offset(c), sums(c), products(c), slope(c), constant(c), total(c);
  for (int64_t i = 0; i < n; i++) {
    const uint16_t* __restrict from = input(x) + i * pixels * c;
    const uint16_t* __restrict out = input(dy) + i * pixels * c;
    uint16_t* __restrict to = output(dx) + i * pixels * c;
    const float* __restrict moved = shift.const_data_ptr<float>() + i * c;
    float *__restrict f = factor.data(), *__restrict o = offset.data(), *__restrict s = sums.data(), *__restrict q = products.data();
    float *__restrict b = slope.data(), *__restrict a = constant.data(), *__restrict t = total.data();
    for (int64_t k = 0; k < c; k++) {
      const float m = mean.data_ptr<float>()[i * groups + k / each], inverse = scale.data_ptr<float>()[i * groups + k / each];
      f[k] = gamma[k] * inverse;
      o[k] = beta[k] + (moved[k] - m) * f[k];
      s[k] = q[k] = t[k] = 0;
    }
    // The gradient before the SiLU. For each channel, also its sum and the sum of its products with x.
    for (int64_t p = 0; p < pixels; p++) {
      for (int64_t k = 0; k < c; k++) {
        const float value = widen(from[p * c + k]);
        const float z = value * f[k] + o[k], share = sigmoid(z);
        const float d = widen(out[p * c + k]) * share * (1 + z * (1 - share));
        to[p * c + k] = narrow(d);
        s[k] += d;
        q[k] += d * value;
      }
    }
    for (int64_t g = 0; g < groups; g++) {
      const double m = mean.data_ptr<float>()[i * groups + g], inverse = scale.data_ptr<float>()[i * groups + g];
      double sum = 0, product = 0;
      for (int64_t k = g * each; k < (g + 1) * each; k++) {
        // Sum of dz times the normalised value.
        const double normalised = inverse * (q[k] + (moved[k] - m) * s[k]);
        dweight.data_ptr<float>()[k] += normalised;
        dbias.data_ptr<float>()[k] += s[k];
        sum += gamma[k] * s[k];
        product += gamma[k] * normalised;
      }
      const double count = double(each) * pixels;
      for (int64_t k = g * each; k < (g + 1) * each; k++) {
        b[k] = -inverse * inverse * product / count;
        a[k] = -inverse * sum / count + b[k] * (moved[k] - m);
      }
    }
    for (int64_t p = 0; p < pixels; p++) {
      for (int64_t k = 0; k < c; k++) {
        const float d = widen(to[p * c + k]) * f[k] + widen(from[p * c + k]) * b[k] + a[k];
        t[k] += d;
        to[p * c + k] = narrow(d);
      }
    }
    std::copy(total.begin(), total.end(), dshift.data_ptr<float>() + i * c);
  }
  return {dx, dshift, dweight, dbias};
}

}  // namespace

PYBIND11_MODULE(TORCH_EXTENSION_NAME, module) {
  // Releases the GIL, so that threads run side by side.
  module.def("forward", &forward, pybind11::call_guard<pybind11::gil_scoped_release>());
  module.def("backward", &backward, pybind11::call_guard<pybind11::gil_scoped_release>());
}
