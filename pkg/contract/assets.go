package contract

// The assets service answers for the files of JupyterLab that all servers of an image share.
const (
	// PathAssets begins their addresses: PathAssets + digest + "/" + file. It lies outside /hub/ and
	// /user/, so browsers send no cookie of the platform's there.
	PathAssets = "/assets/lab/"
	// SegmentAssets is the second segment of PathAssets, by which Envoy picks the scope.
	SegmentAssets = "lab"
	// PathAssetsIndex is where the spawner asks which images' files are served (AssetsIndex). No
	// route leads there from outside.
	PathAssetsIndex = "/images"
	// SegmentOwnAssets is where a server has the same files itself, below its prefix. Envoy sends
	// browsers there when the assets service does not have a file or does not answer.
	SegmentOwnAssets = "perijove/lab/"
	// EnvAssets tells a server the digest of its image's files, when they are served.
	EnvAssets = "PERIJOVE_ASSETS"
)

// AssetsIndex is the answer at PathAssetsIndex: what is served of each image, by its name as
// profiles have it.
type AssetsIndex map[string]ServedAssets

// ServedAssets are the files of one image.
type ServedAssets struct {
	// Digest names the folder: 64 hexadecimal digits.
	Digest string `json:"digest"`
	// First are the files that the first page loads, below the folder, with their queries.
	First []string `json:"first"`
}
