// Boost.Test's main for all tests of descent.
#define BOOST_TEST_MODULE descent
#include <boost/test/unit_test.hpp>
