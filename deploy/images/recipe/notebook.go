package recipe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/perijove/perijove/deploy/images/layer"
	"github.com/perijove/perijove/deploy/images/rootfs"
	"github.com/perijove/perijove/deploy/images/wheel"
	"github.com/perijove/perijove/pkg/assets"
)

const (
	notebookPython = "3.11" // Debian 12's
	notebookUser   = 1000
	notebookGroup  = 100 // "users", as in Jupyter's own images
	notebookStart  = "quick-lab"
	notebookLister = "list-modules"

	notebookPasswd = "root:x:0:0:root:/root:/usr/sbin/nologin\n" +
		"jovyan:x:1000:100::/home/jovyan:/bin/bash\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n"
	notebookGroups = "root:x:0:\ntty:x:5:\nusers:x:100:\nnogroup:x:65534:\n"
)

// notebookPackages is Python, and the programs that a user expects in a terminal.
func notebookPackages() []string {
	return []string{
		"base-files", "netbase", "libc-bin", "libstdc++6", "python3", "bash", "dash", "coreutils", "grep", "sed", "findutils",
		"mawk", "diffutils", "tar", "gzip", "less", "procps", "ncurses-base", "ncurses-bin", "tzdata",
		"ca-certificates", "openssl", "git", "openssh-client", "curl", "wget", "make", "nano", "vim-tiny",
	}
}

func notebookCommand() []string { return []string{notebookStart, "--ip=0.0.0.0", "--no-browser"} }

// Notebook is a stock JupyterLab for an unprivileged user: Debian with its Python, and
// the wheels of requirements.txt in folder, and beside it the program that starts JupyterLab. It says what such a start
// imports, and knows nothing of Perijove.
func Notebook(suite, machine, folder string) Recipe {
	requirements, start := filepath.Join(folder, "requirements.txt"), filepath.Join(folder, notebookStart)
	lister := filepath.Join(folder, notebookLister)
	first := filepath.Join(folder, "first.txt")
	return Recipe{
		Name: "perijove/notebook", Words: append(notebookPackages(), suite, machine), Files: []string{requirements, start, lister, first},
		Make: func(ctx context.Context, kitchen Kitchen) (Image, error) {
			root := filepath.Join(kitchen.Work, "root")
			if err := rootfs.Unpack(ctx, kitchen.Log, suite, root, notebookPackages()); err != nil {
				return Image{}, err
			}
			if err := furnish(root); err != nil {
				return Image{}, err
			}
			if err := installWheels(ctx, kitchen, root, machine, requirements); err != nil {
				return Image{}, err
			}
			if err := installStart(ctx, kitchen, root, start); err != nil {
				return Image{}, err
			}
			if err := listModules(ctx, kitchen, root, lister); err != nil {
				return Image{}, err
			}
			if err := packAssets(root, first); err != nil {
				return Image{}, err
			}
			return Image{
				Layers: []layer.Pack{layer.Tree(root, skipDebian)},
				Config: v1.Config{
					User:       fmt.Sprintf("%d:%d", notebookUser, notebookGroup),
					WorkingDir: "/home/jovyan",
					Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/home/jovyan", "SHELL=/bin/bash",
						"LANG=C.UTF-8", "PYTHONUNBUFFERED=1"},
					Cmd: notebookCommand(),
				},
			}, nil
		},
	}
}

// furnish does those works of the packages' install scripts that the image needs.
func furnish(root string) error {
	home := filepath.Join(root, "home/jovyan")
	authorities, err := trusted(filepath.Join(root, "usr/share/ca-certificates"))
	if err != nil {
		return err
	}
	err = errors.Join(
		// ca-certificates asks at installation which authorities to trust.
		os.WriteFile(filepath.Join(root, "etc/ca-certificates.conf"), []byte(authorities), 0o644),
		os.WriteFile(filepath.Join(root, "etc/passwd"), []byte(notebookPasswd), 0o644),
		os.WriteFile(filepath.Join(root, "etc/group"), []byte(notebookGroups), 0o644),
		os.MkdirAll(home, 0o755),
		os.Chown(home, notebookUser, notebookGroup),
		links(filepath.Join(root, "usr/bin"), map[string]string{
			"awk": "mawk", "vi": "vim.tiny", "vim": "vim.tiny",
			"editor": "nano", // what git opens for a commit's message
		}),
		// `pip install` then works for users, into their home folder.
		os.Remove(filepath.Join(root, "usr/lib/python"+notebookPython, "EXTERNALLY-MANAGED")),
	)
	if err != nil {
		return fmt.Errorf("furnish the notebook's files: %w", err)
	}
	return nil
}

// links makes links, by name, to programs of the folder bin, which must be there.
func links(bin string, programs map[string]string) error {
	for name, program := range programs {
		if _, err := os.Stat(filepath.Join(bin, program)); err != nil {
			return err
		}
		if err := os.Symlink(program, filepath.Join(bin, name)); err != nil {
			return err
		}
	}
	return nil
}

// trusted lists all certificates below dir, one a line, as ca-certificates.conf does.
func trusted(dir string) (string, error) {
	certificates, err := filepath.Glob(filepath.Join(dir, "*/*.crt"))
	if err != nil || len(certificates) == 0 {
		return "", fmt.Errorf("no certificates in %s", dir)
	}
	var list strings.Builder
	for _, path := range certificates {
		fmt.Fprintf(&list, "%s/%s\n", filepath.Base(filepath.Dir(path)), filepath.Base(path))
	}
	return list.String(), nil
}

// installWheels downloads with the host's pip, which knows how to reach an index, and
// installs with the image's own Python, so that scripts and bytecode fit it.
func installWheels(ctx context.Context, kitchen Kitchen, root, machine, requirements string) error {
	wheels := filepath.Join(root, "tmp/wheels")
	if err := os.MkdirAll(wheels, 0o755); err != nil {
		return fmt.Errorf("make a folder for wheels: %w", err)
	}
	if err := wheel.Download(ctx, kitchen.Log, requirements, notebookPython, machine, wheels); err != nil {
		return err
	}
	list, err := os.ReadFile(requirements)
	if err != nil {
		return fmt.Errorf("read the requirements: %w", err)
	}
	if err := os.WriteFile(filepath.Join(wheels, "requirements.txt"), list, 0o644); err != nil {
		return fmt.Errorf("copy the requirements: %w", err)
	}
	pips, err := filepath.Glob(filepath.Join(wheels, "pip-*.whl"))
	if err != nil || len(pips) != 1 {
		return fmt.Errorf("found %d pip wheels, want one", len(pips))
	}
	pip := "/tmp/wheels/" + filepath.Base(pips[0]) + "/pip" // Python runs a program in a zip file
	err = rootfs.Run(ctx, kitchen.Log, root, "/usr/bin/python3", "-B", pip, "install", "--quiet", "--no-index", "--no-deps", "--no-compile",
		"--require-hashes", "--root-user-action=ignore", "--find-links=/tmp/wheels", "-r", "/tmp/wheels/requirements.txt")
	if err != nil {
		return err
	}
	if err := compile(ctx, kitchen, root); err != nil {
		return err
	}
	if err := rootfs.Run(ctx, kitchen.Log, root, "/usr/sbin/update-ca-certificates"); err != nil {
		return err
	}
	if err := rootfs.Run(ctx, kitchen.Log, root, "/usr/bin/python3", "-B", "-m", "pip", "check"); err != nil {
		return err
	}
	// A library that a wheel misses is better found here than by the first user.
	return rootfs.Run(ctx, kitchen.Log, root, "/usr/bin/python3", "-B", "-c", "import jupyterlab.labapp, ipykernel.kernelapp")
}

// installStart adds the program that starts JupyterLab. It changes things in JupyterLab, so it is tried here: with another
// version of JupyterLab it may have to be another one.
func installStart(ctx context.Context, kitchen Kitchen, root, start string) error {
	text, err := os.ReadFile(start)
	if err != nil {
		return fmt.Errorf("read the program that starts JupyterLab: %w", err)
	}
	program := filepath.Join("/usr/local/bin", notebookStart)
	if err := os.WriteFile(filepath.Join(root, program), text, 0o755); err != nil {
		return fmt.Errorf("add the program that starts JupyterLab: %w", err)
	}
	return rootfs.Run(ctx, kitchen.Log, root, "/usr/bin/python3", "-B", program, "--version")
}

// listModules starts the image's JupyterLab once and keeps a list of what it has imported then. A start that does not
// answer its first page ends the build.
func listModules(ctx context.Context, kitchen Kitchen, root, lister string) error {
	text, err := os.ReadFile(lister)
	if err != nil {
		return fmt.Errorf("read the program that lists modules: %w", err)
	}
	program := filepath.Join("/tmp", notebookLister) // what is in /tmp is not in the image
	if err := os.WriteFile(filepath.Join(root, program), text, 0o755); err != nil {
		return fmt.Errorf("add the program that lists modules: %w", err)
	}
	args := append([]string{"-B", program, "/usr/local/share/jupyter/preload.json"}, notebookCommand()...)
	return rootfs.Run(ctx, kitchen.Log, root, "/usr/bin/python3", args...)
}

// packAssets writes what the gateway serves for all servers of the image (docs/images.md).
func packAssets(root, first string) error {
	list, err := os.ReadFile(first)
	if err != nil {
		return fmt.Errorf("read the list of first files: %w", err)
	}
	static := filepath.Join(root, "usr/local/share/jupyter/lab/static")
	if _, err := assets.Pack(static, filepath.Join(root, assets.Folder), strings.Fields(string(list))); err != nil {
		return fmt.Errorf("pack JupyterLab's files (first.txt is what test/jupyter says): %w", err)
	}
	return nil
}

// compile writes bytecode that does not look at the sources' times, which the layer sets anew: without it every start
// would compile all of JupyterLab again.
func compile(ctx context.Context, kitchen Kitchen, root string) error {
	// -B and -f: the compiler's own imports would write the usual bytecode, which it would take to be done.
	args := []string{"-B", "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash"}
	libraries := []string{"/usr/lib/python3", "/usr/lib/python" + notebookPython, "/usr/local/lib/python" + notebookPython}
	if err := rootfs.Run(ctx, kitchen.Log, root, "/usr/bin/python3", append(args, libraries...)...); err != nil {
		return err
	}
	for _, library := range libraries {
		sources, err := stale(filepath.Join(root, library), notebookPython)
		if err != nil {
			return err
		}
		if len(sources) > 0 {
			return fmt.Errorf("%d sources would be compiled at every start: %s", len(sources), strings.Join(sources, ", "))
		}
	}
	return nil
}
