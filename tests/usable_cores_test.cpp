// The number of threads: affinity, cgroup quotas in made-up file systems, and the user's own wish.
#include "base/usable_cores.h"

#include "cpu/context.h"
#include "cpu/parallel.h"
#include "descent/device.h"

#include <signal.h>

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

namespace fs = std::filesystem;

namespace {

// A folder that stands for the root of the file system; removed at the end.
class FakeRoot {
 public:
  FakeRoot() {
    std::string name = (fs::temp_directory_path() / "descent-cores-XXXXXX").string();
    BOOST_REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~FakeRoot() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  FakeRoot(const FakeRoot&) = delete;
  FakeRoot& operator=(const FakeRoot&) = delete;

  FakeRoot& file(const std::string& name, const std::string& content) {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << content;
    return *this;
  }
  [[nodiscard]] std::optional<int> cores() const { return descent::cgroup_cores(path_); }

 private:
  fs::path path_;
};

const std::string mount_v2 =
    "24 1 254:0 / / rw - ext4 /dev/vda rw\n"
    "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
const std::string mount_v1 =
    "31 24 0:27 / /sys/fs/cgroup/memory rw shared:5 - cgroup cgroup rw,memory\n"
    "32 24 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:6 - cgroup cgroup rw,cpu,cpuacct\n";

// Sets OMP_NUM_THREADS for one test.
class Wish {
 public:
  explicit Wish(const char* value) {
    const char* const old = std::getenv("OMP_NUM_THREADS");
    had_ = old != nullptr;
    if (had_) old_ = old;
    if (value == nullptr) {
      unsetenv("OMP_NUM_THREADS");
    } else {
      setenv("OMP_NUM_THREADS", value, 1);
    }
  }
  ~Wish() {
    if (had_) {
      setenv("OMP_NUM_THREADS", old_.c_str(), 1);
    } else {
      unsetenv("OMP_NUM_THREADS");
    }
  }
  Wish(const Wish&) = delete;
  Wish& operator=(const Wish&) = delete;

 private:
  bool had_ = false;
  std::string old_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(usable_cores)

BOOST_AUTO_TEST_CASE(without_cgroups_there_is_no_quota) {
  FakeRoot root;
  BOOST_TEST(!root.cores().has_value());
  root.file("proc/self/cgroup", "0::/\n").file("proc/self/mountinfo", "24 1 254:0 / / rw - ext4 /dev/vda rw\n");
  BOOST_TEST(!root.cores().has_value());
}

BOOST_AUTO_TEST_CASE(v2_quota_is_rounded_up) {
  FakeRoot root;
  root.file("proc/self/mountinfo", mount_v2).file("proc/self/cgroup", "0::/job\n");
  root.file("sys/fs/cgroup/job/cpu.max", "250000 100000\n");
  BOOST_TEST(root.cores().value() == 3);
  root.file("sys/fs/cgroup/job/cpu.max", "10000 100000\n");
  BOOST_TEST(root.cores().value() == 1);
  root.file("sys/fs/cgroup/job/cpu.max", "max 100000\n");
  BOOST_TEST(!root.cores().has_value());
}

BOOST_AUTO_TEST_CASE(v2_quota_of_a_group_above_binds_too) {
  FakeRoot root;
  root.file("proc/self/mountinfo", mount_v2).file("proc/self/cgroup", "0::/outer/inner\n");
  root.file("sys/fs/cgroup/outer/inner/cpu.max", "800000 100000\n");
  root.file("sys/fs/cgroup/outer/cpu.max", "200000 100000\n");
  BOOST_TEST(root.cores().value() == 2);
  root.file("sys/fs/cgroup/outer/inner/cpu.max", "100000 100000\n");
  BOOST_TEST(root.cores().value() == 1);
}

BOOST_AUTO_TEST_CASE(v2_inside_a_container_the_mount_shows_our_own_group_as_root) {
  FakeRoot root;
  root.file("proc/self/mountinfo", "30 24 0:26 /docker/1f /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
  root.file("sys/fs/cgroup/cpu.max", "400000 100000\n");
  root.file("proc/self/cgroup", "0::/docker/1f\n");
  BOOST_TEST(root.cores().value() == 4);
  root.file("proc/self/cgroup", "0::/\n");  // with a namespace of its own
  BOOST_TEST(root.cores().value() == 4);
  root.file("proc/self/cgroup", "0::/docker/1f/child\n");
  root.file("sys/fs/cgroup/child/cpu.max", "150000 100000\n");
  BOOST_TEST(root.cores().value() == 2);
}

BOOST_AUTO_TEST_CASE(v1_quota_comes_from_the_cpu_controller) {
  FakeRoot root;
  root.file("proc/self/mountinfo", mount_v1);
  root.file("proc/self/cgroup", "5:memory:/other\n4:cpu,cpuacct:/docker/1f\n1:name=systemd:/x\n");
  const std::string folder = "sys/fs/cgroup/cpu,cpuacct/docker/1f/";
  root.file(folder + "cpu.cfs_quota_us", "150000\n").file(folder + "cpu.cfs_period_us", "100000\n");
  BOOST_TEST(root.cores().value() == 2);
  root.file(folder + "cpu.cfs_quota_us", "-1\n");
  BOOST_TEST(!root.cores().has_value());
}

BOOST_AUTO_TEST_CASE(the_cpuset_controller_is_not_the_cpu_controller) {
  FakeRoot root;
  root.file("proc/self/mountinfo", "33 24 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n");
  root.file("proc/self/cgroup", "4:cpuset:/\n5:cpu:/\n");
  root.file("sys/fs/cgroup/cpuset/cpu.cfs_quota_us", "100000\n");
  root.file("sys/fs/cgroup/cpuset/cpu.cfs_period_us", "100000\n");
  BOOST_TEST(!root.cores().has_value());
}

BOOST_AUTO_TEST_CASE(both_versions_mounted_the_smaller_quota_counts) {
  FakeRoot root;
  root.file("proc/self/mountinfo", mount_v1 + mount_v2);
  root.file("proc/self/cgroup", "4:cpu,cpuacct:/a\n0::/b\n");
  root.file("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "500000\n");
  root.file("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
  root.file("sys/fs/cgroup/b/cpu.max", "300000 100000\n");
  BOOST_TEST(root.cores().value() == 3);
}

BOOST_AUTO_TEST_CASE(a_mount_point_with_a_space_is_found) {
  FakeRoot root;
  root.file("proc/self/mountinfo", "30 24 0:26 / /my\\040groups rw - cgroup2 cgroup2 rw\n");
  root.file("proc/self/cgroup", "0::/\n").file("my groups/cpu.max", "200000 100000\n");
  BOOST_TEST(root.cores().value() == 2);
}

BOOST_AUTO_TEST_CASE(damaged_files_give_no_quota) {
  FakeRoot root;
  root.file("proc/self/mountinfo", mount_v2 + "nonsense\n - \n")
      .file("proc/self/cgroup", "nonsense\n0:\n0::/\n");
  for (const char* const text : {"", "x y", "100000", "100000 0", "-5 100000", "nan nan"}) {
    root.file("sys/fs/cgroup/cpu.max", text);
    BOOST_TEST(!root.cores().has_value(), text);
  }
}

BOOST_AUTO_TEST_CASE(this_machine_has_at_least_one_core_and_no_more_than_affinity) {
  BOOST_TEST(descent::usable_cores() >= 1);
  BOOST_TEST(descent::usable_cores() <= descent::affinity_cores());
}

BOOST_AUTO_TEST_CASE(the_users_number_of_threads_is_read) {
  const auto read = [](const char* value) {
    const Wish wish(value);
    return descent::requested_threads().value_or(-1);
  };
  BOOST_TEST(read("3") == 3);
  BOOST_TEST(read("4,2") == 4);
  BOOST_TEST(read(nullptr) == -1);
  BOOST_TEST(read("") == -1);
  BOOST_TEST(read("0") == -1);
  BOOST_TEST(read("many") == -1);
}

// Kernels of oneDNN's use the stack pointer for something else: the thread that calls says where handlers run.
BOOST_AUTO_TEST_CASE(signals_are_taken_by_the_thread_that_calls) {
  descent::enter({2});
  descent::enter({3});  // of another device
  int blocked = 0;
#pragma omp parallel num_threads(3) reduction(+ : blocked)
  {
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, nullptr, &mask);
    blocked += sigismember(&mask, SIGINT) == 1 && sigismember(&mask, SIGSEGV) == 0 ? 1 : 0;
  }
  BOOST_TEST(blocked == 2);
}

BOOST_AUTO_TEST_CASE(denormals_count_as_zero_in_every_thread) {
  std::atomic<int> wrong{0};
  const auto compute = [&](std::int64_t, std::int64_t) {
    const volatile float smallest = std::numeric_limits<float>::min();
    const volatile float half = smallest * 0.5F;
    const volatile float denormal = std::numeric_limits<float>::denorm_min();
    const volatile float grown = denormal * 1e20F;
    if (half != 0 || grown != 0) ++wrong;
  };
  for (const int threads : {2, 4}) {  // of two devices, one after the other
    descent::enter({threads});
    descent::parallel_for(threads, threads, 1, compute);
  }
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_SUITE_END()
