package dataplane

import (
	"os"
	"testing"

	"github.com/perijove/perijove/test/internal/netns"
)

func TestMain(m *testing.M) { os.Exit(netns.Main(m.Run)) }
