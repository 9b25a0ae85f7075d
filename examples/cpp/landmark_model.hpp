/// A frozen graph and its model card, run by OpenCV alone: what senet_kp/inference/predictor.py and
/// senet_kp/face/facebox.py do, for programs in C++. Boxes and points are pixels of the upright
/// picture, the first pixel's centre at 0.
#pragma once

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include <opencv2/core.hpp>
#include <opencv2/dnn.hpp>
#include <opencv2/imgproc.hpp>

namespace senet_kp {

/// The exit codes of every command of the project.
enum class Exit { done = 0, arguments = 2, input = 3, model = 4, output = 6 };

/// One line that names the file and says what is wrong with it.
struct Failure : std::runtime_error {
    Failure(Exit code, const std::string& message) : std::runtime_error(message), code(code) {}
    Exit code;
};

/// What a model is refused with when OpenCV cannot run it.
inline Failure unusable(const std::string& path, const cv::Exception& error) {
    return Failure(Exit::model, path + ": OpenCV " + cv::getVersionString() +
                                    " cannot use it or its card (" +
                                    error.err.substr(0, error.err.find('\n')) + ")");
}

inline std::string read_bytes(const std::string& path, Exit code) {
    std::ifstream file(path, std::ios::binary);
    if (!file || std::filesystem::is_directory(path)) {
        throw Failure(code, path + ": no such file, or not to be read");
    }
    return {std::istreambuf_iterator<char>(file), {}};
}

/// OpenCV's parser knows no null: 0 takes its place.
inline std::string without_null(std::string json) {
    bool quoted = false;
    for (std::size_t i = 0; i < json.size(); ++i) {
        if (quoted && json[i] == '\\') {
            ++i;
        } else if (json[i] == '"') {
            quoted = !quoted;
        } else if (!quoted && json.compare(i, 4, "null") == 0) {
            json.replace(i, 4, "0");
        }
    }
    return json;
}

/// The object in a JSON file; a Failure with this code where there is none.
inline cv::FileStorage read_json(const std::string& path, Exit code) {
    const int mode = cv::FileStorage::READ | cv::FileStorage::MEMORY | cv::FileStorage::FORMAT_JSON;
    const std::string text = read_bytes(path, code);
    try {
        cv::FileStorage file(without_null(text), mode);
        if (file.root().isMap()) return file;
    } catch (const cv::Exception&) {  // its message names a line of OpenCV's source
    }
    throw Failure(code, path + ": not a file with one JSON object");
}

/// How a face box becomes the network's input.
struct BoxRule {
    int size_px;
    int border;  // cv::BorderTypes
};

/// The first pixel of the blocks of `factor` pixels from low to high, and the pixel after the
/// last, two blocks wider for interpolation.
inline cv::Range block_span(double low, double high, int blocks, int factor) {
    const double last_block = blocks - 1;
    const double first = std::clamp(std::floor(low / factor) - 2, 0.0, last_block);
    const double last = std::clamp(std::floor(high / factor) + 2, first, last_block);
    return {static_cast<int>(first) * factor, (static_cast<int>(last) + 1) * factor};
}

/// The square of `size_px` pixels whose first one is centred on (x, y), every `step` pixels.
///
/// cv::warpAffine would do, but before OpenCV 5 it rounds every place to 1/32 pixel, which moves
/// the points of a face 270 pixels wide by up to 0.2. Single precision is what OpenCV 5 takes.
inline cv::Mat sample(const cv::Mat& picture, float x, float y, float step, BoxRule rule) {
    const auto pixel = [&](int row, int column) {
        row = cv::borderInterpolate(row, picture.rows, rule.border);  // -1: black
        column = cv::borderInterpolate(column, picture.cols, rule.border);
        const bool inside = row >= 0 && column >= 0;
        return inside ? cv::Vec3f(picture.at<cv::Vec3b>(row, column)) : cv::Vec3f();
    };
    cv::Mat cut(rule.size_px, rule.size_px, CV_8UC3);
    for (int j = 0; j < cut.rows; ++j) {
        for (int i = 0; i < cut.cols; ++i) {
            const float left = i * step + x, top = j * step + y;
            const int column = cvFloor(left), row = cvFloor(top);
            const auto between = [&](int line) {
                const cv::Vec3f first = pixel(line, column);
                return cv::Vec3f(first + (left - column) * (pixel(line, column + 1) - first));
            };
            const cv::Vec3f upper = between(row), lower = between(row + 1);
            cut.at<cv::Vec3b>(j, i) = cv::Vec3f(upper + (top - row) * (lower - upper));
        }
    }
    return cut;
}

/// A face box's contents as the network sees them, [size_px, size_px] of `picture`'s type (8-bit
/// RGB). A box over twice that size is first reduced by a whole factor with area averaging.
inline cv::Mat crop(const cv::Mat& picture, const cv::Rect2d& box, BoxRule rule) {
    double x = box.x, y = box.y, side = box.width;
    const double largest = std::min(picture.rows, picture.cols);
    const int factor = static_cast<int>(std::min(side / rule.size_px, largest));
    cv::Mat source = picture;
    if (factor > 1) {
        const cv::Range columns = block_span(x, x + side, picture.cols / factor, factor);
        const cv::Range rows = block_span(y, y + side, picture.rows / factor, factor);
        cv::resize(picture(rows, columns), source, {columns.size() / factor, rows.size() / factor},
                   0, 0, cv::INTER_AREA);
        x = (x - columns.start + 0.5) / factor - 0.5;
        y = (y - rows.start + 0.5) / factor - 0.5;
        side /= factor;
    }
    const double step = side / rule.size_px;
    return sample(source, static_cast<float>(x + step / 2), static_cast<float>(y + step / 2),
                  static_cast<float>(step), rule);
}

/// The network; its card lies beside it, as senet.json beside senet.pb.
class LandmarkModel {
public:
    /// Throws a Failure where graph or card is missing, or the two do not fit.
    explicit LandmarkModel(const std::string& path) : path_(path) {
        const std::string graph = read_bytes(path, Exit::model);
        const std::string card_path =
            std::filesystem::path(path).replace_extension(".json").string();
        const cv::FileStorage card = read_json(card_path, Exit::model);
        try {
            read_card(card.root(), card_path);
            if (static_cast<double>(graph.size()) != static_cast<double>(card["bytes"])) {
                throw Failure(Exit::model, path + ": altered, or not the file of " + card_path);
            }
            net_ = cv::dnn::readNetFromTensorflow(graph.data(), graph.size());
        } catch (const cv::Exception& error) {
            throw unusable(path, error);
        }
    }

    /// The points of the face in a box (a square) of an 8-bit RGB picture.
    std::vector<cv::Point2d> landmarks(const cv::Mat& picture, const cv::Rect2d& box) {
        const cv::Mat blob = cv::dnn::blobFromImage(crop(picture, box, rule_));
        cv::Mat relative;  // x, y: 0..1 in the box
        try {
            net_.setInput(blob, input_);
            relative = net_.forward(output_).reshape(2, 1);
        } catch (const cv::Exception& error) {
            throw unusable(path_, error);
        }
        std::vector<cv::Point2d> points;
        for (const cv::Point2f& point : cv::Mat_<cv::Point2f>(relative)) {
            points.emplace_back(point.x * box.width + box.x, point.y * box.height + box.y);
        }
        return points;
    }

private:
    void read_card(const cv::FileNode& card, const std::string& path) {
        const std::string padding = card["box"]["padding"].string();
        rule_ = {static_cast<int>(card["box"]["size_px"]),
                 padding == "black" ? cv::BORDER_CONSTANT : cv::BORDER_REPLICATE};
        input_ = card["input"]["node"].string();
        output_ = card["output"]["node"].string();
        const bool known = static_cast<int>(card["card"]) == 2 && rule_.size_px > 0 &&
                           (padding == "black" || padding == "replicate") &&
                           card["input"]["colour"].string() == "RGB";
        if (!known || input_.empty() || output_.empty()) {
            throw Failure(Exit::model, path + ": not a model card of this version of the project");
        }
    }

    BoxRule rule_{};
    std::string path_, input_, output_;
    cv::dnn::Net net_;
};

}  // namespace senet_kp
