package rig

import (
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Names and passwords of the benchmark's directory, which is the development directory with
// more people in it.
const (
	directoryBase  = "dc=perijove,dc=test"
	directoryAdmin = "cn=admin," + directoryBase
	adminPassword  = "benchmark-admin"
)

// Directory is a real OpenLDAP.
type Directory struct {
	*Proc
	url  string
	port int
}

// Password is the password of every person whom AddPeople made.
const Password = "benchmark-password"

// StartDirectory runs deploy/directory, with TLS by the rig's certificate.
func (r *Rig) StartDirectory() (*Directory, error) {
	// slapd runs as a user of its own, and must reach its folder. The keys beside it are 0600.
	if err := os.Chmod(r.Dir, 0o711); err != nil { //nolint:gosec // see above
		return nil, fmt.Errorf("let slapd into the folder: %w", err)
	}
	passwordFile := r.Path("directory-admin")
	if err := os.WriteFile(passwordFile, []byte(adminPassword), 0o600); err != nil {
		return nil, fmt.Errorf("password of the directory: %w", err)
	}
	plain, secure := r.addr(), r.addr()
	d := &Directory{url: "ldaps://" + secure, port: number(secure)}
	var err error
	d.Proc, err = r.start("directory", []string{
		"DIRECTORY_TLS=" + r.Path(dirTLS), "DIRECTORY_DATA=" + r.Path("directory"), "DIRECTORY_HOST=127.0.0.1",
		"DIRECTORY_LDAP=" + port(plain), "DIRECTORY_LDAPS=" + port(secure), "DIRECTORY_ADMIN_PASSWORD_FILE=" + passwordFile,
	}, filepath.Join(Root(), "deploy", "directory", "run.sh"))
	if err != nil {
		return nil, err
	}
	return d, d.wait("it answers", 30*time.Second, func() bool {
		conn, err := tls.Dial("tcp", secure, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // a handshake is all that is wanted
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	})
}

// AddPeople adds the users User(first) and following, n of them, who all have Password.
func (d *Directory) AddPeople(first, n int) error {
	hash, err := exec.Command("slappasswd", "-h", "{SSHA}", "-s", Password).Output()
	if err != nil {
		return fmt.Errorf("hash a password: %w", err)
	}
	var ldif strings.Builder
	for i := range n {
		name := User(first + i)
		fmt.Fprintf(&ldif, "dn: uid=%[1]s,ou=people,%[2]s\nobjectClass: inetOrgPerson\nuid: %[1]s\ncn: Person %[3]d\nsn: %[3]d\nuserPassword: %[4]s\n\n",
			name, directoryBase, first+i, strings.TrimSpace(string(hash)))
	}
	add := exec.Command("ldapadd", "-x", "-H", d.url, "-D", directoryAdmin, "-w", adminPassword)
	add.Env = append(os.Environ(), "LDAPTLS_REQCERT=never")
	add.Stdin = strings.NewReader(ldif.String())
	if out, err := add.CombinedOutput(); err != nil {
		return fmt.Errorf("add %s people: %w: %.500s", strconv.Itoa(n), err, out)
	}
	return nil
}

// ldapOptions is authz's configuration of a directory.
func (r *Rig) ldapOptions(url string) options {
	return options{
		"urls": []string{url}, "caFile": r.Path(dirTLS + "/ca.crt"), "bindTemplate": "uid={username},ou=people," + directoryBase,
		"userSearch":        options{"base": "ou=people," + directoryBase, "filter": "(uid={username})"},
		"usernameAttribute": "uid", "displayNameAttribute": "cn",
		"groupSearch":        options{"base": "ou=groups," + directoryBase, "filter": "(member={dn})"},
		"groupNameAttribute": "cn", "allowedGroups": []string{"*"},
	}
}

// WithDirectory adds to JupyterHub's settings that users log in with a directory's passwords.
func (r *Rig) WithDirectory(d *Directory, traits Traits) Traits {
	traits["JupyterHub"] = map[string]any{"authenticator_class": "ldapauthenticator.LDAPAuthenticator"}
	const required = 2 // ssl.CERT_REQUIRED
	traits["LDAPAuthenticator"] = map[string]any{
		"server_address": "127.0.0.1", "server_port": d.port, "tls_strategy": "on_connect",
		"tls_kwargs":       map[string]any{"ca_certs_file": r.Path(dirTLS + "/ca.crt"), "validate": required},
		"bind_dn_template": []string{"uid={username},ou=people," + directoryBase}, "allow_all": true,
	}
	return traits
}
