/// Runs a frozen graph with its model card in C++, with OpenCV as the only dependency. It computes
/// the same as senet_kp/inference/predictor.py and senet_kp/face/facebox.py. Boxes and points are
/// in pixels of the upright picture, with the centre of the first pixel at 0.
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

/// Exit codes, the same as those of the Python commands.
enum class Exit { done = 0, arguments = 2, input = 3, model = 4, output = 6 };

/// An error with an exit code. Its one-line message names the file and says what is wrong.
struct Failure : std::runtime_error {
    Failure(Exit code, const std::string& message) : std::runtime_error(message), code(code) {}
    Exit code;
};

/// The error for a model that OpenCV cannot run.
inline Failure unusable(const std::string& path, const cv::Exception& error) {
    return Failure(Exit::model, path + ": OpenCV " + cv::getVersionString() +
                                    " cannot use it or its card (" +
                                    error.err.substr(0, error.err.find('\n')) + ")");
}

inline std::string read_bytes(const std::string& path, Exit code) {
    std::ifstream file(path, std::ios::binary);
    if (!file || std::filesystem::is_directory(path)) {
        throw Failure(code, path + ": no such file, or it cannot be read");
    }
    return {std::istreambuf_iterator<char>(file), {}};
}

/// Replaces null by 0, because OpenCV's JSON parser does not support null.
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

/// Reads a JSON file that holds one object; throws a Failure with this code otherwise.
inline cv::FileStorage read_json(const std::string& path, Exit code) {
    const int mode = cv::FileStorage::READ | cv::FileStorage::MEMORY | cv::FileStorage::FORMAT_JSON;
    const std::string text = read_bytes(path, code);
    try {
        cv::FileStorage file(without_null(text), mode);
        if (file.root().isMap()) return file;
    } catch (const cv::Exception&) {  // its message is about OpenCV's source code
    }
    throw Failure(code, path + ": not a file with one JSON object");
}

/// The size of the network's input, and the padding outside the picture.
struct BoxRule {
    int size_px;
    int border;  // cv::BorderTypes
};

/// Returns the first pixel and the end pixel of the blocks of `factor` pixels from low to high,
/// two blocks wider at either end for interpolation.
inline cv::Range block_span(double low, double high, int blocks, int factor) {
    const double last_block = blocks - 1;
    const double first = std::clamp(std::floor(low / factor) - 2, 0.0, last_block);
    const double last = std::clamp(std::floor(high / factor) + 2, first, last_block);
    return {static_cast<int>(first) * factor, (static_cast<int>(last) + 1) * factor};
}

/// Samples `size_px` x `size_px` pixels of a picture bilinearly, `step` pixels apart; the first one
/// is centred on (x, y).
///
/// cv::warpAffine is not used, because before OpenCV 5 it rounds coordinates to 1/32 pixel, which
/// moves the landmarks of a face 270 pixels wide by up to 0.2 pixels. Like OpenCV 5, this function
/// computes in single precision.
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

/// Resamples the contents of a face box to the network's input, size_px x size_px, 8-bit RGB. If
/// the box is at least twice as large, the picture is first reduced by a whole factor with area
/// averaging.
inline cv::Mat crop(const cv::Mat& picture, const cv::Rect2d& box, BoxRule rule) {
    double x = box.x, y = box.y, size = box.width;
    const double largest = std::min(picture.rows, picture.cols);
    const int factor = static_cast<int>(std::min(size / rule.size_px, largest));
    cv::Mat source = picture;
    if (factor > 1) {
        const cv::Range columns = block_span(x, x + size, picture.cols / factor, factor);
        const cv::Range rows = block_span(y, y + size, picture.rows / factor, factor);
        cv::resize(picture(rows, columns), source, {columns.size() / factor, rows.size() / factor},
                   0, 0, cv::INTER_AREA);
        x = (x - columns.start + 0.5) / factor - 0.5;
        y = (y - rows.start + 0.5) / factor - 0.5;
        size /= factor;
    }
    const double step = size / rule.size_px;
    return sample(source, static_cast<float>(x + step / 2), static_cast<float>(y + step / 2),
                  static_cast<float>(step), rule);
}

/// Whether a box has nothing of a picture in it, as a box made for another size of it.
inline bool is_beside(const cv::Rect2d& box, const cv::Mat& picture) {
    return box.x >= picture.cols - 0.5 || box.y >= picture.rows - 0.5 ||
           box.x + box.width <= -0.5 || box.y + box.height <= -0.5;
}

/// A network. The model card of senet.pb is senet.json in the same folder.
class LandmarkModel {
public:
    /// Throws a Failure if the graph or the card is missing, or if they do not belong together.
    explicit LandmarkModel(const std::string& path) : path_(path) {
        const std::string graph = read_bytes(path, Exit::model);
        const std::string card_path =
            std::filesystem::path(path).replace_extension(".json").string();
        const cv::FileStorage card = read_json(card_path, Exit::model);
        try {
            read_card(card.root(), card_path);
            if (static_cast<double>(graph.size()) != static_cast<double>(card["bytes"])) {
                throw Failure(Exit::model,
                              path + ": altered, or not the file that " + card_path + " describes");
            }
            net_ = cv::dnn::readNetFromTensorflow(graph.data(), graph.size());
        } catch (const cv::Exception& error) {
            throw unusable(path, error);
        }
    }

    /// Returns the landmarks of the face in a square box of an 8-bit RGB picture.
    std::vector<cv::Point2d> landmarks(const cv::Mat& picture, const cv::Rect2d& box) {
        const cv::Mat blob = cv::dnn::blobFromImage(crop(picture, box, rule_));
        cv::Mat relative;  // box-relative x, y: 0..1 inside the box
        try {
            net_.setInput(blob, input_);
            relative = net_.forward(output_).reshape(2, 1);
        } catch (const cv::Exception& error) {
            throw unusable(path_, error);
        }
        std::vector<cv::Point2d> points;
        for (const cv::Point2f& point : cv::Mat_<cv::Point2f>(relative)) {
            if (!std::isfinite(point.x) || !std::isfinite(point.y)) {
                throw Failure(Exit::model, path_ + ": its landmarks are not finite (NaN or"
                                           " infinite); train the network again");
            }
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
