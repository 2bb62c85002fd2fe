package spawn

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Amounts in a profile are texts, since administrators and Helm write them in every form that
// Kubernetes has: 0.5, "500m", 536870912, 5.36870912e+08, "512Mi".

// Cores is an amount of processor time: cores, or thousandths of them with an m. "" and 0
// mean none.
type Cores string

// Milli returns the amount in thousandths of a core; 0 for none.
func (c Cores) Milli() (int64, error) {
	q, err := parse(string(c))
	if err != nil || q.IsZero() {
		return 0, err
	}
	if most := resource.MustParse("1024"); q.Cmp(most) > 0 {
		return 0, fmt.Errorf("%q is more cores than any machine has", string(c))
	}
	if least := resource.MustParse("1m"); q.Cmp(least) < 0 {
		return 0, fmt.Errorf("%q is less than 1m, the least that Kubernetes counts", string(c))
	}
	return q.MilliValue(), nil
}

// Memory is an amount as JupyterHub writes it: bytes, or a number with K, M, G, T, P or E,
// which are powers of 1024 (JupyterHub's ByteSpecification). Ki, Mi, … mean the same; all
// other forms are Kubernetes'. "" and 0 mean none.
type Memory string

// Bytes returns the amount; 0 for none.
func (m Memory) Bytes() (int64, error) {
	text := string(m)
	if binary := binaryUnit.FindStringSubmatch(text); binary != nil {
		text = binary[1] + "i"
	}
	q, err := parse(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not an amount like 512M or 2G", string(m))
	}
	return q.Value(), nil
}

// Amount is a quantity as Kubernetes writes it. "" and 0 mean none.
type Amount string

// quantity returns the amount; zero for none.
func (a Amount) quantity() (resource.Quantity, error) { return parse(string(a)) }

var (
	binaryUnit = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?[KMGTPE])i?$`)
	// anAmount is Kubernetes' form of a quantity with at most two digits of exponent:
	// ParseQuantity calculates for minutes at "1e-999999999", which a user may type.
	anAmount = regexp.MustCompile(`^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,2}|[numkMGTPE]|[KMGTPE]i)?$`)
)

// parse reads a quantity that no cluster exceeds; zero for "".
func parse(s string) (resource.Quantity, error) {
	const longest, most = 64, 1 << 62
	if s == "" {
		return resource.Quantity{}, nil
	}
	if len(s) > longest || !anAmount.MatchString(s) {
		return resource.Quantity{}, fmt.Errorf("%.64q is not an amount like 0.5, 500m or 10Gi", s)
	}
	q, err := resource.ParseQuantity(s)
	if err != nil {
		return resource.Quantity{}, fmt.Errorf("%q is not an amount like 0.5, 500m or 10Gi", s)
	}
	if n := q.AsApproximateFloat64(); n < 0 || n >= most {
		return resource.Quantity{}, fmt.Errorf("%q is out of range", s)
	}
	return q, nil
}

// Words returns the number of cores, "" for none.
func (c Cores) Words() string {
	milli, err := c.Milli()
	if err != nil || milli == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(milli)/1000, 'f', -1, 64)
}

// Words returns the amount in the largest unit that keeps it short, "" for none.
func (m Memory) Words() string {
	n, err := m.Bytes()
	if err != nil || n == 0 {
		return ""
	}
	return words(n)
}

// words returns a number of bytes in binary units, with one decimal at most.
func words(n int64) string {
	units, size, unit := "KMGTPE", float64(n), "B"
	for i := 0; size >= 1024 && i < len(units); i++ {
		size, unit = size/1024, units[i:i+1]+"iB"
	}
	return strings.TrimSuffix(strconv.FormatFloat(size, 'f', 1, 64), ".0") + " " + unit
}
