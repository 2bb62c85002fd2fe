// Package volumes gives each PersistentVolumeClaim a folder of its own on the machine, and removes the folder with the claim.
//
// It is the rule only (which volume belongs to which folder, with which owner); watching claims is the work of sig-storage-lib-external-provisioner.
// It never limits how much a claim may store: the requested size is recorded, not enforced.
package volumes
