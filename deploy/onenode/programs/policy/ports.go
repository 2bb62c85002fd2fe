package policy

import (
	"net/netip"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const maxPort = 65535

// portMatch is one way in which a packet can fit a policy's list of ports.
type portMatch struct {
	protocol string
	ports    []Range
	named    string // name of a port
}

// matchPorts turns a policy's list of ports into as few matches as possible. An empty list fits every packet. A list with nothing but faults fits none.
func matchPorts(ports []networkingv1.NetworkPolicyPort, fault func(string, ...any)) []portMatch {
	if len(ports) == 0 {
		return []portMatch{{}}
	}
	var matches []portMatch
	ranges, whole := map[string][]Range{}, map[string]bool{}
	for i, port := range ports {
		protocol, known := protocolOf(port.Protocol)
		switch {
		case !known:
			fault("ports[%d]: protocol %q is none of TCP, UDP, SCTP; the port matches nothing", i, *port.Protocol)
		case port.Port == nil && port.EndPort != nil:
			fault("ports[%d]: endPort %d without port; the port matches nothing", i, *port.EndPort)
		case port.Port == nil:
			whole[protocol] = true
		case port.Port.Type == intstr.String && port.EndPort != nil:
			fault("ports[%d]: endPort with the named port %q; the port matches nothing", i, port.Port.StrVal)
		case port.Port.Type == intstr.String:
			matches = append(matches, portMatch{protocol: protocol, named: port.Port.StrVal})
		default:
			last := port.Port.IntVal
			if port.EndPort != nil {
				last = *port.EndPort
			}
			if port.Port.IntVal < 1 || last > maxPort || last < port.Port.IntVal {
				fault("ports[%d]: %d to %d are no ports; the port matches nothing", i, port.Port.IntVal, last)
				continue
			}
			ranges[protocol] = append(ranges[protocol], Range{uint16(port.Port.IntVal), uint16(last)})
		}
	}
	for _, protocol := range []string{"tcp", "udp", "sctp"} {
		switch {
		case whole[protocol]:
			matches = append(matches, portMatch{protocol: protocol})
		case len(ranges[protocol]) > 0:
			matches = append(matches, portMatch{protocol: protocol, ports: merge(ranges[protocol])})
		}
	}
	return matches
}

// merge joins ranges that touch or overlap.
func merge(ranges []Range) []Range {
	slices.SortFunc(ranges, func(a, b Range) int { return int(a.First) - int(b.First) })
	merged := ranges[:1]
	for _, next := range ranges[1:] {
		last := &merged[len(merged)-1]
		if int(next.First) <= int(last.Last)+1 {
			last.Last = max(last.Last, next.Last)
			continue
		}
		merged = append(merged, next)
	}
	return merged
}

// blockOf reads an IP block. ok is false if it has no IPv4 address in it: a block of IPv6, a block whose exceptions leave none, or a faulty one.
func blockOf(block *networkingv1.IPBlock, fault func(string, ...any)) (b Block, ok bool) {
	within, err := netip.ParsePrefix(block.CIDR)
	if err != nil {
		fault("ipBlock: cidr %q: %v; the block matches nothing", block.CIDR, err)
		return Block{}, false
	}
	if !within.Addr().Is4() {
		return Block{}, false
	}
	b.Within = within.Masked()
	for _, text := range block.Except {
		except, err := netip.ParsePrefix(text)
		if err != nil { // it may be meant to keep something out
			fault("ipBlock: except %q: %v; the block matches nothing", text, err)
			return Block{}, false
		}
		if !except.Overlaps(b.Within) {
			fault("ipBlock: except %s is outside of %s and has no effect", text, block.CIDR)
			continue
		}
		if except.Bits() <= b.Within.Bits() {
			return Block{}, false
		}
		b.Except = append(b.Except, except.Masked())
	}
	return b, true
}
