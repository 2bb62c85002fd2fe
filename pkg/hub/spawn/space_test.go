package spawn

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
)

func TestHomeVolume(t *testing.T) {
	make := func(host, storage string) *corev1.Pod {
		pod := Pod(site, Spec{ID: server.ID{User: "alice"}, Nonce: nonce, Profile: Profile{Override: Override{StorageType: storage}}})
		pod.Status.HostIP = host
		return pod
	}
	want := Mounted{Node: netip.MustParseAddr("10.1.2.3"), Namespace: site.Namespace, Claim: HomeName("alice")}
	if got, ok := homeVolume(make("10.1.2.3", "")); !ok || got != want {
		t.Errorf("%+v, %v", got, ok)
	}
	late := make("10.1.2.3", "")
	late.UID, late.Annotations[contract.AnnotationHome] = "pod-uid", "claim-uid"
	late.Spec.Volumes = []corev1.Volume{{Name: volumeHome, VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: contract.DriverHomes}}}}
	if got, ok := homeVolume(late); !ok || got != (Mounted{Node: netip.MustParseAddr("10.1.2.3"), Pod: "pod-uid", Volume: volumeHome}) {
		t.Errorf("a late home: %+v, %v", got, ok)
	}
	delete(late.Annotations, contract.AnnotationHome)
	if got, ok := homeVolume(late); ok {
		t.Errorf("a pod that waits has a home: %+v", got)
	}
	// The spawner sends a token there: no pod leads it to its own machine or to a cloud's metadata.
	for _, host := range []string{"", "x", "127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "169.254.169.254", "fe80::1%eth0", "224.0.0.1"} {
		if got, ok := homeVolume(make(host, "")); ok {
			t.Errorf("%s: %+v", host, got)
		}
	}
	if got, ok := homeVolume(make("10.1.2.3", storageNone)); ok {
		t.Errorf("a home that is no claim: %+v", got)
	}
}

func TestSpace(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	for s, want := range map[Space]struct {
		used int
		low  bool
		free string
	}{
		{Free: 10 * gib, Total: 10 * gib}:        {0, false, "10 GiB"},
		{Free: 6963 * mib, Total: 10 * gib}:      {33, false, "6.8 GiB"},
		{Free: gib / 2, Total: 10 * gib}:         {95, false, "512 MiB"},
		{Free: gib/2 - 1, Total: 10 * gib}:       {96, true, "512 MiB"},
		{Free: 100 * mib, Total: gib}:            {91, false, "100 MiB"},
		{Free: 100*mib - 1, Total: gib}:          {91, true, "100 MiB"},
		{Free: 0, Total: gib}:                    {100, true, "0 B"},
		{Free: 1 << 62, Total: 1 << 62}:          {0, false, "4 EiB"},
		{Free: 4000 * gib, Total: 100_000 * gib}: {96, true, "3.9 TiB"},
	} {
		if s.Used() != want.used || s.Low() != want.low || s.Words()["Free"] != want.free {
			t.Errorf("%+v: %d %%, low %v, %v", s, s.Used(), s.Low(), s.Words())
		}
	}
}
