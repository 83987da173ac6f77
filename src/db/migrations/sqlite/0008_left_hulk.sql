ALTER TABLE `request_ids` ADD `user_id` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `request_ids` ADD `body_digest` blob;--> statement-breakpoint
ALTER TABLE `request_ids` ADD `sealed_reply` blob;