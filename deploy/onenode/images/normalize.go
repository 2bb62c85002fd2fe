package images

import "github.com/google/go-containerregistry/pkg/name"

// dockerHub is the registry that a name without one means, written as containerd writes it.
const dockerHub = "docker.io"

// Normalize writes an image name as containerd and the kubelet know it: "app" → "docker.io/library/app:latest". A name that cannot be parsed is returned as it is.
func Normalize(ref string) string {
	parsed, err := name.ParseReference(ref, name.WeakValidation, name.WithDefaultRegistry(dockerHub))
	if err != nil {
		return ref
	}
	repository := parsed.Context().RepositoryStr()
	registry := parsed.Context().RegistryStr()
	if registry == name.DefaultRegistry {
		registry = dockerHub
	}
	separator := ":"
	if _, ok := parsed.(name.Digest); ok {
		separator = "@"
	}
	return registry + "/" + repository + separator + parsed.Identifier()
}
