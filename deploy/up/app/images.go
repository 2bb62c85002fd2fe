package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/perijove/perijove/deploy/images/output"
)

// imagesStep builds the images into into, and pushes them when there is a registry.
func (u *up) imagesStep(into *[]output.Image) step {
	return step{
		name:   "images",
		advice: "when a download failed, run the same command again: what is built stays built",
		do: func(ctx context.Context, log *stepLog) (string, error) {
			builder, err := u.build(ctx, log, "images", "./deploy/images")
			if err != nil {
				return "", err
			}
			args := append(asRoot(os.Geteuid()), builder)
			if u.registry != "" {
				args = append(args, "-push", u.registry)
			}
			var out bytes.Buffer
			cmd := u.command(ctx, log, u.root, args[0], append(args[1:], "build")...)
			cmd.Stdout, cmd.Stderr = &out, log.live(output.Progress)
			if err := cmd.Run(); err != nil {
				return "", err
			}
			if err := json.Unmarshal(out.Bytes(), into); err != nil {
				return "", fmt.Errorf("read the list of images: %w", err)
			}
			fresh := 0
			for _, image := range *into {
				if image.New {
					fresh++
				}
			}
			return fmt.Sprintf("%d built, %d unchanged", fresh, len(*into)-fresh), nil
		},
	}
}

// asRoot returns what to put before a program that needs to be root over the files that
// it makes, and over nothing else: for root nothing, for others a user namespace with
// their subordinate ids (/etc/subuid), which Debian's uidmap package lets them use.
func asRoot(uid int) []string {
	if uid == 0 {
		return nil
	}
	return []string{"unshare", "--user", "--map-root-user", "--map-auto", "--mount", "--pid", "--fork", "--kill-child"}
}

// buildImages is the command `up images`.
func (u *up) buildImages(ctx context.Context) error {
	if err := u.run(ctx, u.packages(upPackages(os.Geteuid()))); err != nil {
		return err
	}
	var images []output.Image
	if err := u.run(ctx, u.imagesStep(&images)); err != nil {
		return err
	}
	for _, image := range images {
		u.console.say("image", "%s:%s  %s", image.Name, image.Tag, image.Archive)
	}
	return nil
}
