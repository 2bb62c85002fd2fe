package app

import (
	"context"
	"fmt"
	"io"
	"net"
	"path"

	"github.com/perijove/perijove/pkg/run"
	"github.com/perijove/perijove/pkg/run/config"
	"github.com/perijove/perijove/pkg/run/mtls"
)

// Config is the whole configuration of the assets service.
type Config struct {
	// Listen is where Envoy and the spawner reach the files: "host:port". Only their certificates get in.
	Listen string `yaml:"listen"`
	// PrivateListen serves /healthz, /readyz and /metrics: "host:port".
	PrivateListen string `yaml:"privateListen"`
	// TLS is the service's certificate.
	TLS mtls.Files `yaml:"tls"`
	// Images are those whose files are served.
	Images []Image `yaml:"images"`
}

// Image is one image and where its files were copied to.
type Image struct {
	// Name is as profiles have it.
	Name string `yaml:"name"`
	// Folder holds what the image has in assets.Folder.
	Folder string `yaml:"folder"`
}

// Validate returns every fault at once, each with its key.
func (c Config) Validate() error {
	var f config.Faults
	for key, value := range map[string]string{"listen": c.Listen, "privateListen": c.PrivateListen} {
		_, port, err := net.SplitHostPort(value)
		f.Check(err == nil && port != "", key, "must be host:port")
	}
	c.TLS.Validate("tls", &f)
	f.Check(len(c.Images) > 0, "images", "needs at least one image")
	names := map[string]bool{}
	for i, image := range c.Images {
		key := fmt.Sprintf("images[%d].", i)
		f.Check(image.Name != "" && !names[image.Name], key+"name", "must be an image that no other entry names")
		f.Check(path.IsAbs(image.Folder), key+"folder", "must be an absolute path")
		names[image.Name] = true
	}
	return f.Err()
}

// Main runs the service, or packs files with "pack" as the first argument; see run.Main for the
// exit code.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "pack" {
		return pack(args[1:], stdout, stderr)
	}
	return run.Main(ctx, "assets", args, stderr, Config{}, Run)
}
