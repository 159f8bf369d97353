/* Heatmaps drawn and read on the CPU, one after the other, each while it is in the nearest cache.
 *
 * Operations on whole tensors have to move each heatmap between processor and memory many times,
 * which takes most of the time; here it is moved once. heatmap_encode.py and heatmap_decode.py say
 * what is computed and why, and do the same for other devices; tests compare the two.
 *
 * Maps are (count, height, width) and contiguous; coordinates are (x, y), in pixels. What one map
 * needs beside itself is on the stack: heatmap_cpu.py sees to it that there is room.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

const int64_t interface_version = 1; /* see heatmap_cpu.py */
enum decoder { READ_PEAK, READ_MSRA, READ_DARK, READ_UDP };
enum encoder { DRAW_MSRA, DRAW_DARK, DRAW_UDP };

/* One version for processors with 256-bit vectors, one for all; the loader chooses. */
#if defined(__x86_64__) && defined(__gnu_linux__)
#define VECTORS __attribute__((target_clones("avx2", "default")))
#else
#define VECTORS
#endif
#define INLINE static inline __attribute__((always_inline))
#define PRAGMA(text) _Pragma(#text)
#define FOR_EACH_MAP                                               \
    PRAGMA(omp parallel for num_threads(threads) schedule(static)) \
    for (int64_t m = 0; m < count; m++)

INLINE int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* ---- Reading ---------------------------------------------------------------------------- */

/* Pixels of which only the maximum is kept at first */
#define BLOCK 256

/* The highest of `size` values; NaN if one of them is. */
INLINE float highest(const float *values, int64_t size)
{
    /* Four at once, as a comparison has to wait for the one before it. */
    const float *v = values, *w = v + size / 4, *x = w + size / 4, *y = x + size / 4;
    float a = -INFINITY, b = a, c = a, d = a;
    int nan = 0;
    PRAGMA(omp simd reduction(max : a, b, c, d) reduction(| : nan))
    for (int64_t i = 0; i < size / 4; i++) {
        a = v[i] > a ? v[i] : a;
        b = w[i] > b ? w[i] : b;
        c = x[i] > c ? x[i] : c;
        d = y[i] > d ? y[i] : d;
        nan |= (v[i] != v[i]) | (w[i] != w[i]) | (x[i] != x[i]) | (y[i] != y[i]);
    }
    for (int64_t i = size / 4 * 4; i < size; i++) {
        a = values[i] > a ? values[i] : a;
        nan |= values[i] != values[i];
    }
    a = a > b ? a : b;
    c = c > d ? c : d;
    return nan ? NAN : a > c ? a : c;
}

/* The first pixel of the highest value; NaN is above all. */
INLINE int64_t highest_pixel(const float *map, int64_t size)
{
    float best = -INFINITY;
    int64_t start = 0;
    for (int64_t at = 0; at < size && best == best; at += BLOCK) {
        float here = at + BLOCK <= size ? highest(map + at, BLOCK) : highest(map + at, size - at);
        if (!(here <= best)) {
            best = here;
            start = at;
        }
    }
    /* Where in the block, without a branch that would have to be foreseen */
    int end = size - start < BLOCK ? size - start : BLOCK, first = end;
    PRAGMA(omp simd reduction(min : first))
    for (int i = 0; i < end; i++) {
        float value = map[start + i];
        int here = (value == best) | ((best != best) & (value != value)) ? i : end;
        first = here < first ? here : first;
    }
    return start + first;
}

/* A quarter pixel along one axis, towards the higher neighbour, where stock moves a keypoint. */
INLINE double quarter_pixel(const float *pixel, int64_t stride, int64_t at, int64_t size,
                            int64_t on_other_axis)
{
    if (at <= 1 || at >= size - 1 || on_other_axis <= 0)
        return 0;
    return 0.25 * ((pixel[stride] > pixel[-stride]) - (pixel[stride] < pixel[-stride]));
}

/* The maximum of a blurred map */
static double blurred_maximum(const float *map, int64_t height, int64_t width,
                              const double *kernel, int64_t radius)
{
    double maximum = -INFINITY, along_y[width];
    for (int64_t y = 0; y < height; y++) {
        memset(along_y, 0, sizeof along_y);
        for (int64_t r = clamp(y - radius, 0, y); r < height && r <= y + radius; r++)
            for (int64_t x = 0; x < width; x++)
                along_y[x] += kernel[r - y + radius] * map[r * width + x];
        for (int64_t x = 0; x < width; x++) {
            double sum = 0;
            for (int64_t c = clamp(x - radius, 0, x); c < width && c <= x + radius; c++)
                sum += kernel[c - x + radius] * along_y[c];
            maximum = sum > maximum ? sum : maximum;
        }
    }
    return maximum;
}

#define REACH 2
/* Values around a pixel, which is in the middle */
typedef double Patch[2 * REACH + 1][2 * REACH + 1];
/* Those as far as `reach`, without the corners of the larger square, which no derivative has */
#define FOR_EACH_NEIGHBOUR                         \
    for (int64_t i = -reach; i <= reach; i++)      \
        for (int64_t j = -reach; j <= reach; j++)  \
            if (i * j <= 1 && i * j >= -1)

/* The blurred map around (x, y). Outside of the map, there is nothing to be blurred, and of what is
 * blurred the outermost pixels are repeated. */
INLINE void blur_around(const float *map, int64_t height, int64_t width, int64_t x, int64_t y,
                        const double *kernel, int64_t radius, int64_t reach, Patch patch)
{
    int64_t far = radius + reach, side = 2 * far + 1;
    int64_t padded = (side + 3) / 4 * 4; /* whole vectors */
    double window[side][padded], along_y[2 * reach + 1][padded];
    int64_t left = clamp(x - far, 0, x), right = clamp(x + far, x, width - 1);
    memset(window, 0, sizeof window);
    for (int64_t row = clamp(y - far, 0, y); row < height && row <= y + far; row++)
        for (int64_t c = left; c <= right; c++)
            window[row - y + far][c - x + far] = map[row * width + c];
    for (int64_t i = -reach; i <= reach; i++) {
        int64_t row = clamp(y + i, 0, height - 1) - y + reach;
        double *sums = along_y[i + reach];
        memset(sums, 0, padded * sizeof(double));
        for (int64_t k = 0; k <= 2 * radius; k++)
            for (int64_t c = 0; c < padded; c++)
                sums[c] += kernel[k] * window[row + k][c];
    }
    FOR_EACH_NEIGHBOUR {
        int64_t column = clamp(x + j, 0, width - 1) - x + reach;
        double sum = 0;
        for (int64_t k = 0; k <= 2 * radius; k++)
            sum += kernel[k] * along_y[i + reach][column + k];
        patch[REACH + i][REACH + j] = sum;
    }
}

/* Logarithms of a blurred map, scaled to its old maximum and limited, around that: see
 * _blurred_log. */
INLINE void log_around(const float *map, int64_t height, int64_t width, int64_t x, int64_t y,
                       const double *kernel, int64_t radius, int64_t reach, double floor,
                       double ceiling, Patch patch)
{
    double peak = map[y * width + x], scale = 1;
    int limited = peak > ceiling;
    blur_around(map, height, width, x, y, kernel, radius, reach, patch);
    FOR_EACH_NEIGHBOUR
        limited |= patch[REACH + i][REACH + j] < floor;
    if (limited) {
        double maximum = blurred_maximum(map, height, width, kernel, radius);
        scale = maximum > 0 ? peak / maximum : 1;
    }
    FOR_EACH_NEIGHBOUR {
        double value = patch[REACH + i][REACH + j] * scale;
        value = value < floor ? floor : value > ceiling ? ceiling : value;
        patch[REACH + i][REACH + j] = log(value);
    }
}

/* -D''^-1 D' */
INLINE void newton_step(double dx, double dy, double dxx, double dxy, double dyy, double *step)
{
    double determinant = dxx * dyy - dxy * dxy;
    step[0] = (dxy * dy - dyy * dx) / determinant;
    step[1] = (dxy * dx - dxx * dy) / determinant;
}

INLINE void dark_step(const float *map, int64_t height, int64_t width, int64_t x, int64_t y,
                      const double *kernel, int64_t radius, double *step)
{
    Patch d = {0};
    if (x < 2 || y < 2 || x > width - 3 || y > height - 3)
        return;
    log_around(map, height, width, x, y, kernel, radius, 2, 1e-10, INFINITY, d);
    double dx = (d[2][3] - d[2][1]) / 2, dy = (d[3][2] - d[1][2]) / 2;
    double dxx = (d[2][4] - 2 * d[2][2] + d[2][0]) / 4;
    double dyy = (d[4][2] - 2 * d[2][2] + d[0][2]) / 4;
    double dxy = (d[3][3] - d[1][3] - d[3][1] + d[1][1]) / 4;
    double size = fabs(dxx) + fabs(dyy);
    if (fabs(dxx * dyy - dxy * dxy) <= 1e-9 * size * size) /* zero but for rounding */
        return;
    newton_step(dx, dy, dxx, dxy, dyy, step);
}

INLINE void udp_step(const float *map, int64_t height, int64_t width, int64_t x, int64_t y,
                     const double *kernel, int64_t radius, double *step)
{
    Patch d = {0};
    double epsilon = 0x1p-23; /* so that there is an inverse, also where all is flat */
    log_around(map, height, width, x, y, kernel, radius, 1, 1e-3, 50, d);
    double dx = (d[2][3] - d[2][1]) / 2, dy = (d[3][2] - d[1][2]) / 2;
    double dxx = d[2][3] - 2 * d[2][2] + d[2][1] + epsilon;
    double dyy = d[3][2] - 2 * d[2][2] + d[1][2] + epsilon;
    double dxy = (d[3][3] - d[2][3] - d[3][2] + 2 * d[2][2] - d[2][1] - d[1][2] + d[1][1]) / 2;
    newton_step(dx, dy, dxx, dxy, dyy, step);
}

VECTORS static void read_map(const float *map, int64_t height, int64_t width,
                             enum decoder decoder, const double *kernel, int64_t radius,
                             float *keypoint, float *score)
{
    int64_t pixel = highest_pixel(map, height * width);
    int64_t x = pixel % width, y = pixel / width;
    double step[2] = {0, 0};
    *score = map[pixel];
    if (*score <= 0) {
        keypoint[0] = keypoint[1] = -1;
        return;
    }
    if (decoder == READ_MSRA) {
        step[0] = quarter_pixel(map + pixel, 1, x, width, y);
        step[1] = quarter_pixel(map + pixel, width, y, height, x);
    } else if (decoder == READ_DARK)
        dark_step(map, height, width, x, y, kernel, radius, step);
    else if (decoder == READ_UDP)
        udp_step(map, height, width, x, y, kernel, radius, step);
    keypoint[0] = x + step[0];
    keypoint[1] = y + step[1];
}

/* Keypoints (count, 2) and scores (count,). The kernel of a blur has 2 radius + 1 weights. */
void read_heatmaps(const float *maps, int64_t count, int64_t height, int64_t width,
                   int64_t threads, enum decoder decoder, const double *kernel, int64_t radius,
                   float *keypoints, float *scores)
{
    FOR_EACH_MAP
        read_map(maps + m * height * width, height, width, decoder, kernel, radius,
                 keypoints + 2 * m, scores + m);
}

/* ---- Drawing ---------------------------------------------------------------------------- */

/* One axis of what is drawn: a Gaussian around `peak`, from `first` to before `last`. */
typedef struct {
    double peak;
    int64_t first, last;
    int inside; /* whether that counts as inside of the heatmap */
} Span;

/* The nearest one of 0 and `size`, or what is between them; of what is not a number, `size` */
INLINE int64_t within(double pixel, int64_t size)
{
    return pixel < 0 ? 0 : pixel < size ? (int64_t)pixel : size;
}

/* `single`: sums are rounded as in single precision, that of the keypoints. What is not a number, or
 * infinite, is not inside. */
INLINE Span span(enum encoder encoder, double point, double radius, int64_t size, int single)
{
    double centre = point + 0.5, first, last;
    if (encoder == DRAW_DARK) {
        first = single ? (float)point - (float)radius : point - radius;
        last = single ? (float)point + (float)radius + 1 : point + radius + 1;
        int inside = first < size && last >= 0;
        return (Span){point, 0, inside ? size : 0, inside};
    }
    centre = trunc(single ? (float)centre : centre);
    first = trunc(centre - radius);
    last = trunc(centre + radius + 1);
    return (Span){
        .peak = first + floor(radius + 0.5) + (encoder == DRAW_UDP ? point - centre : 0),
        .first = within(first, size),
        .last = within(last, size),
        .inside = first < size && last >= 0,
    };
}

/* exp(steepness (pixel - peak)^2), but at least `lowest`.
 *
 * From pixel to pixel, a Gaussian changes by a factor, which changes by a factor, too: so two
 * exponentials are enough. In double precision, what errors add up to does not show. */
INLINE void profile(Span span, double steepness, double change, double lowest, float *values)
{
    int64_t last = span.last - 1, i = within(span.peak + 0.5, span.last);
    int64_t nearest = clamp(i, span.first, last);
    double distance = nearest - span.peak, top = exp(steepness * distance * distance);
    double up = exp(steepness * (1 + 2 * distance)), down = change / up, value = top;
    for (i = nearest; i <= last && value > lowest; i++) {
        values[i] = value;
        value *= up;
        up *= change;
    }
    for (; i <= last; i++)
        values[i] = lowest;
    value = top;
    for (i = nearest; i >= span.first && value > lowest; i--) {
        values[i] = value;
        value *= down;
        down *= change;
    }
    for (; i >= span.first; i--)
        values[i] = lowest;
}

/* Whether the keypoint is too far outside to count */
VECTORS static int draw_map(enum encoder encoder, const double *point, double radius,
                            double steepness, double lowest, int64_t height, int64_t width,
                            int single, float *map)
{
    float along_x[width], along_y[height];
    double change = exp(2 * steepness);
    Span x = span(encoder, point[0], radius, width, single);
    Span y = span(encoder, point[1], radius, height, single);
    int drawn = x.first < x.last && y.first < y.last;
    if (!drawn || (x.last - x.first) * (y.last - y.first) < height * width)
        memset(map, 0, height * width * sizeof(float));
    if (drawn) {
        profile(x, steepness, change, lowest, along_x);
        profile(y, steepness, change, lowest, along_y);
        for (int64_t r = y.first; r < y.last; r++)
            for (int64_t c = x.first; c < x.last; c++)
                map[r * width + c] = along_y[r] * along_x[c];
    }
    return !(x.inside && y.inside);
}

/* Maps of keypoints (count, 2), and which of those that are `seen` (count,) are outside. A shape
 * is 3 sigma and -1 / 2 sigma^2; from that of one map to the next are `step` numbers. */
void draw_heatmaps(const double *keypoints, const uint8_t *seen, const double *shapes,
                   int64_t step, double lowest, int64_t count, int64_t height, int64_t width,
                   int64_t threads, enum encoder encoder, int64_t single, float *maps,
                   uint8_t *outside)
{
    FOR_EACH_MAP {
        float *map = maps + m * height * width;
        const double *shape = shapes + m * step;
        if (seen[m]) {
            outside[m] = draw_map(encoder, keypoints + 2 * m, shape[0], shape[1], lowest, height,
                                  width, single, map);
        } else {
            outside[m] = 0;
            memset(map, 0, height * width * sizeof(float));
        }
    }
}
