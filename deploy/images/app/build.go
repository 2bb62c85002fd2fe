package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/sync/errgroup"

	"github.com/perijove/perijove/deploy/images/layer"
	"github.com/perijove/perijove/deploy/images/output"
	"github.com/perijove/perijove/deploy/images/recipe"
)

// build makes every image whose inputs have changed, two at a time, and returns all.
func (b *builder) build(ctx context.Context) ([]output.Image, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("building images needs root over the files in them; make images arranges that for other users too")
	}
	recipes, err := b.recipes(ctx)
	if err != nil {
		return nil, err
	}
	salt, err := ownHash()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(b.store(), 0o755); err != nil {
		return nil, fmt.Errorf("make the folder for images: %w", err)
	}
	built := make([]output.Image, len(recipes))
	var ready atomic.Int32
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2)
	for i, r := range recipes {
		group.Go(func() (err error) {
			began := time.Now()
			built[i], err = b.image(ctx, r, salt)
			if done := ready.Add(1); err == nil && built[i].New {
				b.say(fmt.Sprintf("%d of %d images are ready: %s in %.1fs", done, len(recipes), r.Name, time.Since(began).Seconds()))
			}
			return err
		})
	}
	return built, group.Wait()
}

func (b *builder) store() string { return filepath.Join(b.cache, "images") }

func (b *builder) recipes(ctx context.Context) ([]recipe.Recipe, error) {
	suite, err := b.pins.Get("DEBIAN_SUITE")
	if err != nil {
		return nil, err
	}
	version, err := b.pins.Get("ENVOY_VERSION")
	if err != nil {
		return nil, err
	}
	envoy, err := b.envoyBinary(ctx)
	if err != nil {
		return nil, err
	}
	machine := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	bin := filepath.Join(b.cache, "bin")
	services, err := recipe.Services(ctx, b.stderr, func(text string) { b.say("services: " + text) }, b.root, bin)
	if err != nil {
		return nil, err
	}
	modules, err := b.providerModules(ctx)
	if err != nil {
		return nil, err
	}
	return append([]recipe.Recipe{
		recipe.Notebook(suite, machine, filepath.Join(b.root, "deploy/images/notebook")),
		recipe.Directory(suite, filepath.Join(b.root, "deploy/directory")),
		recipe.Provider(suite, runtime.GOARCH, filepath.Join(b.root, "deploy/provider"), modules),
		recipe.Envoy(suite, version, envoy, filepath.Join(bin, "drain")),
	}, services...), nil
}

// image makes one image, unless the cache has it, and removes its older versions.
func (b *builder) image(ctx context.Context, r recipe.Recipe, salt string) (output.Image, error) {
	key, err := r.Key(salt)
	if err != nil {
		return output.Image{}, err
	}
	short := filepath.Base(r.Name)
	built := output.Image{Name: r.Name, Tag: key, Archive: filepath.Join(b.store(), short+"-"+key+".tar")}
	if _, err := os.Stat(built.Archive); err == nil {
		return built, nil
	}
	work, err := os.MkdirTemp(b.store(), short+"-*.work")
	if err != nil {
		return output.Image{}, fmt.Errorf("make a folder to work in: %w", err)
	}
	defer os.RemoveAll(work)
	made, err := r.Make(ctx, recipe.Kitchen{Work: work, Log: b.stderr})
	if err != nil {
		return output.Image{}, fmt.Errorf("make %s: %w", r.Name, err)
	}
	if err := archive(made, work, built); err != nil {
		return output.Image{}, fmt.Errorf("pack %s: %w", r.Name, err)
	}
	old, err := filepath.Glob(filepath.Join(b.store(), short+"-????????????.tar"))
	if err != nil {
		return output.Image{}, fmt.Errorf("look for older images: %w", err)
	}
	for _, path := range old {
		if path != built.Archive {
			os.Remove(path)
		}
	}
	built.New = true
	return built, nil
}

// archive packs the layers and writes the docker-archive, whole or not at all.
func archive(made recipe.Image, work string, built output.Image) error {
	var layers []v1.Layer
	for i, pack := range made.Layers {
		packed, err := layer.Write(filepath.Join(work, fmt.Sprintf("layer-%d", i)), pack)
		if err != nil {
			return err
		}
		layers = append(layers, packed)
	}
	image, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		return fmt.Errorf("put the layers together: %w", err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return fmt.Errorf("read the new image's configuration: %w", err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Config = "linux", runtime.GOARCH, made.Config
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return fmt.Errorf("configure the image: %w", err)
	}
	tag, err := name.NewTag(built.Name + ":" + built.Tag)
	if err != nil {
		return fmt.Errorf("name the image: %w", err)
	}
	whole := filepath.Join(work, "image.tar")
	if err := tarball.WriteToFile(whole, tag, image); err != nil {
		return fmt.Errorf("write the archive: %w", err)
	}
	return os.Rename(whole, built.Archive)
}

// ownHash identifies this program: a changed recipe must change the images' keys, and a
// version that has to be raised by hand would be forgotten.
func ownHash() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read this program: %w", err)
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:]), nil
}

// push copies built images to a registry ("registry.example.org/team") and returns
// them under the names that they have there.
func (b *builder) push(ctx context.Context, registry string, images []output.Image) ([]output.Image, error) {
	var pushed []output.Image
	for _, image := range images {
		to := strings.TrimSuffix(registry, "/") + "/" + image.Name
		if err := upload(ctx, image.Archive, to+":"+image.Tag); err != nil {
			return nil, fmt.Errorf("push %s: %w", to, err)
		}
		image.Name = to
		pushed = append(pushed, image)
	}
	return pushed, nil
}
