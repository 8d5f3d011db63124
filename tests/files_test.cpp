// Files that grow by lines, begun anew or gone on with.
#include "base/files.h"
#include "descent/error.h"
#include "temporary_folder.h"

#include <boost/test/unit_test.hpp>

#include <string>

using namespace descent;

BOOST_AUTO_TEST_SUITE(files)

BOOST_AUTO_TEST_CASE(a_file_of_lines_begins_with_its_header_alone) {
  const TemporaryFolder folder;
  write_text(folder / "a.csv", "old\n1\n");
  LineWriter(folder / "a.csv", "step,loss").write("0,1");
  BOOST_TEST(read_text(folder / "a.csv") == "step,loss\n0,1\n");
}

BOOST_AUTO_TEST_CASE(rows_before_the_step_where_it_goes_on_stay) {
  const TemporaryFolder folder;
  // Several rows a step; the last line was cut.
  write_text(folder / "a.csv", "step,loss\n0,1\n9,2\n9,3\n10,4\n11,5\nodd\n9");
  LineWriter(folder / "a.csv", "step,loss", 10).write("10,6");
  BOOST_TEST(read_text(folder / "a.csv") == "step,loss\n0,1\n9,2\n9,3\n10,6\n");
}

BOOST_AUTO_TEST_CASE(a_file_that_is_not_there_is_begun) {
  const TemporaryFolder folder;
  LineWriter(folder / "a.csv", "step,loss", 10).write("10,6");
  BOOST_TEST(read_text(folder / "a.csv") == "step,loss\n10,6\n");
}

BOOST_AUTO_TEST_CASE(a_file_with_other_columns_is_not_gone_on_with) {
  const TemporaryFolder folder;
  write_text(folder / "a.csv", "step,accuracy\n0,1\n");
  BOOST_CHECK_THROW(LineWriter(folder / "a.csv", "step,loss", 1), Error);
  BOOST_TEST(read_text(folder / "a.csv") == "step,accuracy\n0,1\n");
}

BOOST_AUTO_TEST_SUITE_END()
