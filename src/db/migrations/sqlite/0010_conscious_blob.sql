ALTER TABLE `challenges` ADD `decision_id` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `challenges` ADD `groups` text;--> statement-breakpoint
ALTER TABLE `challenges` ADD `proofs` text;