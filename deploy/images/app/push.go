package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// upload copies the one image of an archive to a registry, as the user whom Docker's
// own configuration names. A tag is a hash of inputs: what is there is not sent again.
func upload(ctx context.Context, archive, to string) error {
	tag, err := name.NewTag(to)
	if err != nil {
		return fmt.Errorf("name the image: %w", err)
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	_, err = remote.Head(tag, options...)
	if err == nil {
		return nil
	}
	var refused *transport.Error
	if !errors.As(err, &refused) || refused.StatusCode != http.StatusNotFound {
		return fmt.Errorf("ask the registry for it: %w", err)
	}
	image, err := tarball.ImageFromPath(archive, nil)
	if err != nil {
		return fmt.Errorf("open the archive: %w", err)
	}
	return remote.Write(tag, image, options...)
}
