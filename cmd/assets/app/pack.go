package app

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/perijove/perijove/pkg/assets"
)

// pack writes the files of an image that is being built, and says their digest.
func pack(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("assets pack", flag.ContinueOnError)
	flags.SetOutput(stderr)
	first := flags.String("first", "", "`file` with a pattern on each line for the files that the first page loads")
	out := flags.String("out", assets.Folder, "`folder` to write to; what it holds goes away")
	flags.Usage = func() {
		_, _ = fmt.Fprintln(stderr, "usage: assets pack [-first FILE] [-out FOLDER] SOURCE\nSOURCE is JupyterLab's folder of static files, such as /opt/conda/share/jupyter/lab/static.")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() != 1 {
		flags.Usage()
		return 2
	}
	patterns, err := lines(*first)
	if err == nil {
		var digest string
		if digest, err = assets.Pack(flags.Arg(0), *out, patterns); err == nil {
			_, _ = fmt.Fprintln(stdout, digest)
			return 0
		}
	}
	_, _ = fmt.Fprintln(stderr, "assets pack:", err)
	return 1
}

// lines returns the words of a file; none for no file.
func lines(path string) ([]string, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the patterns: %w", err)
	}
	return strings.Fields(string(text)), nil
}
