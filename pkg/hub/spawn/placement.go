package spawn

import (
	"slices"

	"github.com/perijove/perijove/pkg/web/origin"
)

// Site is what all servers of an installation share.
type Site struct {
	// Namespace is where servers live.
	Namespace string
	// JupyterConfigMap holds jupyter_server_config.py with the identity provider, and
	// default_setting_overrides.json with JupyterLab's defaults. It is in Namespace.
	JupyterConfigMap string
	// Public is where browsers reach the pages of the hub and the servers.
	Public origin.Site
	// Proof says that new pods promise a proof of which pod they are (package proof). It
	// changes nothing for pods that run.
	Proof bool
	// Revision says which version of the files in JupyterConfigMap pods are made for: pods that wait with
	// those of another one are replaced.
	Revision string
	// LateHomes says that a driver gives homes to pods that run (contract.DriverHomes).
	LateHomes bool
	// Scheduling is what new pods say about the node that they want.
	Scheduling Scheduling
	// Assets returns the digest of JupyterLab's files that are served for all servers of an image;
	// "" where none are. Nil where there is no such service.
	Assets func(image string) (digest string)
}

// assets returns Assets of an image.
func (s Site) assets(image string) string {
	if s.Assets == nil {
		return ""
	}
	return s.Assets(image)
}

// Place is where the objects of one server live.
type Place struct{ Namespace string }

// Placement says where the server of a user goes that is made from profile. Today that is
// one namespace for all.
func (s Site) Placement(_ string, _ Profile) Place { return Place{Namespace: s.Namespace} }

// Places returns every place where a server of user can be: one for each profile, without
// repetition.
func (s Site) Places(user string, c Catalog) []Place {
	var all []Place
	for _, p := range c {
		if place := s.Placement(user, p); !slices.Contains(all, place) {
			all = append(all, place)
		}
	}
	return all
}
