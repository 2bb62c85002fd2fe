package dataplane

import (
	"os"
	"testing"

	"github.com/perijove/perijove/test/netns"
)

func TestMain(m *testing.M) { os.Exit(netns.Main(m.Run)) }
