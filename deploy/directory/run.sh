#!/bin/sh
# Runs the development directory in the foreground: OpenLDAP with the users of
# directory.ldif, TLS only, data thrown away at each start.
#
#   DIRECTORY_TLS       folder with tls.crt, tls.key, ca.crt   (required)
#   DIRECTORY_DATA      folder for everything it writes        (default /tmp/perijove-directory)
#   DIRECTORY_HOST      address to listen on                   (default 0.0.0.0)
#   DIRECTORY_LDAP      port for ldap:// with StartTLS         (default 1389)
#   DIRECTORY_LDAPS     port for ldaps://                      (default 1636)
#   DIRECTORY_SERVICE_PASSWORD_FILE   password of cn=perijove,ou=services,dc=perijove,dc=test
#                                     (default: perijove-service-password)
#   DIRECTORY_ADMIN_PASSWORD_FILE     password of cn=admin,dc=perijove,dc=test, who may change
#                                     everything while it runs     (default: there is no such account)
set -eu
umask 077

here=$(cd "$(dirname "$0")" && pwd)
data=${DIRECTORY_DATA:-/tmp/perijove-directory}
tls=${DIRECTORY_TLS:?a folder with tls.crt, tls.key and ca.crt}
host=${DIRECTORY_HOST:-0.0.0.0}
PATH=$PATH:/usr/sbin:/sbin

command -v slapd >/dev/null || {
    echo "slapd is missing. Install it without starting Debian's own instance:" >&2
    echo "  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends slapd ldap-utils" >&2
    exit 1
}
for f in tls.crt tls.key ca.crt; do
    [ -r "$tls/$f" ] || { echo "DIRECTORY_TLS: $tls/$f cannot be read" >&2; exit 1; }
done

service_password=perijove-service-password
if [ -n "${DIRECTORY_SERVICE_PASSWORD_FILE:-}" ]; then
    service_password=$(cat "$DIRECTORY_SERVICE_PASSWORD_FILE")
fi

# A container that was restarted still has the old files; they belong to the old start.
rm -rf "$data/db" "$data/tls"
mkdir -p "$data/db" "$data/tls"
cp -L "$tls/tls.crt" "$tls/tls.key" "$tls/ca.crt" "$data/tls/"
admin=
if [ -n "${DIRECTORY_ADMIN_PASSWORD_FILE:-}" ]; then
    admin="rootdn \"cn=admin,dc=perijove,dc=test\"\\nrootpw $(slappasswd -h '{SSHA}' -T "$DIRECTORY_ADMIN_PASSWORD_FILE")"
fi
sed -e "s|@DATA@|$data|g" -e "s|@ADMIN@|$admin|" "$here/slapd.conf" >"$data/slapd.conf"

# Hash each password; the clear text never reaches the database.
while IFS= read -r line; do
    case $line in
    "userPassword: @SERVICE_PASSWORD@") clear=$service_password ;;
    "userPassword: "*) clear=${line#userPassword: } ;;
    *) printf '%s\n' "$line"; continue ;;
    esac
    printf '%s' "$clear" >"$data/clear"
    printf 'userPassword: %s\n' "$(slappasswd -h '{SSHA}' -T "$data/clear")"
done <"$here/directory.ldif" >"$data/directory.ldif"
rm -f "$data/clear"
slapadd -f "$data/slapd.conf" -l "$data/directory.ldif"

# As root (tests on a machine) give up root; in a container there is none to give up.
as=
if [ "$(id -u)" = 0 ]; then
    chown -R openldap:openldap "$data"
    as="-u openldap -g openldap"
fi
# slapd reserves room for every file descriptor it may open; some containers allow 2^30.
ulimit -n 1024
# -d 0 keeps it in the foreground.
# shellcheck disable=SC2086 # as is two options or none
exec slapd -d "${DIRECTORY_DEBUG:-0}" $as -f "$data/slapd.conf" \
    -h "ldap://$host:${DIRECTORY_LDAP:-1389}/ ldaps://$host:${DIRECTORY_LDAPS:-1636}/"
