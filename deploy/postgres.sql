-- PostgreSQL runs this once, after it has made the database `doorward`: what the gateway keeps is in a database of its own.
CREATE DATABASE gateway;
