package dataplane

import (
	"fmt"
	"os"
	"testing"

	"github.com/perijove/perijove/test/internal/python"
	"github.com/perijove/perijove/test/netns"
)

func TestMain(m *testing.M) {
	// Here: the tests' own network leads to no index. The test that needs it fails without it.
	if _, err := python.Schemathesis().Install(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(netns.Main(m.Run))
}
